"""The client of a running system over HTTP: submit a goal, follow it as it happens, read what came out.

async with Client("http://127.0.0.1:8420") as client:
    taken = await client.submit(Goal(objective="Say hello", contract={"type": "string"}))
    async for event in client.events(taken.run):
        ...
    print((await client.get(taken.run)).output)
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from callboard.approving import Approvals
from callboard_contracts.errors import CATALOGUE, CallboardError

DONE = frozenset({"completed", "failed", "unachievable", "cancelled", "refused"})
"""The statuses of a run that ended."""

_CONNECT_S = 5.0
_READ_S = 60.0
"""A stream says something every few seconds; this long without a word is a dead connection."""
_RETRY_S = 0.5
_RETRY_MOST_S = 5.0


class Goal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A goal: what is to be achieved, and the contract of what must come out."""

    objective: str = ""
    """In words; may be empty when a skill has a prompt of its own."""
    skill: str = ""
    input: Any = None
    """The skill's input."""
    contract: dict[str, Any] | None = None
    """JSON Schema of the output; without one: the skill's, or a text."""
    tools: tuple[str, ...] | None = None
    """The tools that may be used; None: all that the skill allows."""
    model: str = ""
    limits: dict[str, Any] = {}
    """`max_turns`, `timeout_s`, `budget_usd`, `max_tokens`, `max_calls`, `max_depth`, `max_runs`,
    `start_timeout_s`."""
    grounded: bool = False
    """Accept only what the tools returned."""
    labels: dict[str, str] = {}
    id: str = ""
    """A ULID of one's own."""


class Accepted(msgspec.Struct, frozen=True):
    """A goal that was taken: it is stored, and will run whatever happens to this process."""

    run: str
    status_url: str
    events_url: str
    live_subject: str = ""


class Run(msgspec.Struct, frozen=True):
    """A run as it stands. What is not here is in `more`."""

    run: str
    status: str
    output: Any = None
    code: str = ""
    reason: str = ""
    objective: str = ""
    skill: str = ""
    model: str = ""
    turns: int = 0
    calls: int = 0
    cost_usd: float = 0.0
    unpriced: bool = False
    accepted_ms: int = 0
    ended_ms: int = 0
    more: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        """Whether it ended."""
        return self.status in DONE


class Word(msgspec.Struct, frozen=True):
    """A word of control that was taken: it is stored, and holds whoever is alive now."""

    run: str
    was: str
    """The run's status before."""
    changed: bool
    """False: it was so already, and nothing else comes of it."""
    paused_above: str = ""
    """An ancestor that is paused: the run goes on when that one is resumed."""


class Retried(msgspec.Struct, frozen=True):
    """A run that takes up one that ended."""

    run: str
    retry_of: str
    from_turn: int
    """The turn after whose calls it goes on, counted as `--turn` does; 0: from the beginning."""


class Waits(msgspec.Struct, frozen=True):
    """What a run waits for: the run itself first, then each sub-agent that it waits for."""

    run: str
    status: str
    chain: list[dict[str, Any]]
    """Each with `run`, `waiting_for`, `sentence`, `detail`, `since_ms`, `until_ms`, `tool`, `call`, `executors`,
    `advice`."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened. `id` is the sequence of a record, 0 for what is only worth hearing now."""

    kind: str
    data: dict[str, Any]
    id: int = 0


T = TypeVar("T")
_run_fields = frozenset(Run.__struct_fields__) - {"more"}


class Client:
    """A connection to a system's gateway. An async context manager.

    Every method raises `CallboardError`: `not_running` when nobody listens at the URL, `unavailable` when the system
    cannot answer now, and whatever code the system itself names.
    """

    def __init__(self, url: str, *, key: str = "", transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(_READ_S, connect=_CONNECT_S)
        try:
            self._http = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout, transport=transport)
        except httpx.InvalidURL as error:
            raise CallboardError("invalid_request", f"{url!r} is not a URL: {error}") from None
        self.approvals = Approvals(self._send)
        """Requests to people."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def submit(self, goal: Goal, *, idempotency_key: str = "") -> Accepted:
        """Start a run. With an `id` in the goal, or a key of one's own, sending twice is one run."""
        headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
        answer = await self._send("POST", "/v1/goals", content=msgspec.json.encode(goal), headers=headers)
        return _read(answer, Accepted)

    async def attach(self, goal: str, path: str, data: bytes) -> None:
        """Attach a file to a goal that will be sent with this id."""
        await self._send("PUT", f"/v1/goals/{goal}/files/{quote(path)}", content=data)

    async def get(self, run: str) -> Run:
        """Return a run as it stands."""
        found = _read(await self._send("GET", f"/v1/runs/{quote(run, safe='')}"), dict[str, Any])
        return _run(found)

    async def runs(self, *, limit: int = 50, before: str = "", **filters: Any) -> list[Run]:
        """Return runs, newest first; `before` is the id of the last one that was seen.

        `filters` are those of `GET /v1/runs`: `status`, `skill`, `user`, `label` (one or a list), `since`, `until`,
        `min_cost`, `max_cost`.
        """
        wanted = {"limit": limit, "before": before, **filters}
        query = {name: value for name, value in wanted.items() if value}
        found = _read(await self._send("GET", "/v1/runs", params=query), dict[str, Any])
        return [_run(row) for row in found["runs"]]

    async def events(self, run: str, *, after: int = 0, tokens: bool = False) -> AsyncIterator[Event]:
        """Yield what happens in a run and its sub-agents, each record once, until the run ended.

        A connection that breaks is taken up again where it was, for as long as it takes.
        """
        pause_s = _RETRY_S
        while True:
            try:
                async for event in self._stream(run, after, tokens=tokens):
                    after, pause_s = event.id or after, _RETRY_S
                    yield event
                    if _ends(event, run):
                        return
                if await self._is_over(run):
                    return
            except (httpx.TransportError, CallboardError) as error:
                if isinstance(error, CallboardError) and error.entry.then != "retry" and error.code != "not_running":
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(_RETRY_MOST_S, pause_s * 2)

    async def _is_over(self, run: str) -> bool:
        return (await self.get(run)).ended

    async def _stream(self, run: str, after: int, *, tokens: bool) -> AsyncIterator[Event]:
        headers = {"last-event-id": str(after)} if after else {}
        query = {"stream": "tokens"} if tokens else {}
        path = f"/v1/runs/{quote(run, safe='')}/events"
        async with self._http.stream("GET", path, headers=headers, params=query) as answer:
            if answer.status_code >= 400:
                await answer.aread()
            _check(answer)
            kind, number, data = "", 0, ""
            async for line in answer.aiter_lines():
                field, _, value = line.partition(": ")
                match field:
                    case "event":
                        kind = value
                    case "id":
                        number = int(value)
                    case "data":
                        data += value
                    case "" if data:
                        yield Event(kind, msgspec.json.decode(data), number)
                        kind, number, data = "", 0, ""

    async def cancel(self, run: str, *, reason: str = "") -> Word:
        """End a run and its sub-agents. Of one that has ended it changes nothing."""
        return await self._say(run, "cancel", reason=reason)

    async def pause(self, run: str, *, reason: str = "") -> Word:
        """Stop a run and its sub-agents at their next step, until it is resumed."""
        return await self._say(run, "pause", reason=reason)

    async def resume(self, run: str) -> Word:
        """Let a run that was paused go on, with its sub-agents."""
        return await self._say(run, "resume")

    async def steer(self, run: str, text: str) -> Word:
        """Tell the models of a run and its sub-agents something: they read it before their next answer counts."""
        return await self._say(run, "steer", text=text)

    async def _say(self, run: str, verb: str, **body: str) -> Word:
        return _read(await self._post(run, verb, body), Word)

    async def _post(self, run: str, verb: str, body: Mapping[str, Any]) -> httpx.Response:
        headers = {"idempotency-key": secrets.token_hex(16)}  # however often the connection carries it, it is one word
        path = f"/v1/runs/{quote(run, safe='')}/{verb}"
        return await self._send("POST", path, content=msgspec.json.encode(body), headers=headers)

    async def retry_call(self, run: str, call: str) -> None:
        """Make a call of a live run again that failed, with the same arguments."""
        await self._post(run, "retry", {"call": call})

    async def retry(self, run: str, *, from_turn: int | None = None) -> Retried:
        """Take up a run that ended as a new one, after its last good turn or the one that is given."""
        body = {} if from_turn is None else {"from_turn": from_turn}
        return _read(await self._post(run, "retry", body), Retried)

    async def why(self, run: str) -> Waits:
        """Return what a run waits for. It is answered from the records alone, whoever is dead."""
        return _read(await self._send("GET", f"/v1/runs/{quote(run, safe='')}/why"), Waits)

    async def files(self, run: str) -> list[dict[str, Any]]:
        """Return the files of a run."""
        found = _read(await self._send("GET", f"/v1/runs/{quote(run, safe='')}/files"), dict[str, Any])
        return list(found["files"])

    async def read_file(self, run: str, path: str) -> bytes:
        """Return the content of a run's file."""
        return (await self._send("GET", f"/v1/runs/{quote(run, safe='')}/files/{quote(path)}")).content

    async def tools(self) -> list[dict[str, Any]]:
        """Return the tools that runs may use."""
        return list(_read(await self._send("GET", "/v1/tools"), dict[str, Any])["tools"])

    async def models(self) -> list[dict[str, Any]]:
        """Return the models that can be asked, the default first."""
        return list(_read(await self._send("GET", "/v1/models"), dict[str, Any])["models"])

    async def skills(self) -> list[dict[str, Any]]:
        """Return the skills that are deployed."""
        return list(_read(await self._send("GET", "/v1/skills"), dict[str, Any])["skills"])

    async def put_skill(self, name: str, deployment: Mapping[str, Any]) -> str:
        """Deploy a version of a skill (see `callboard.skills.deployment`) and return its digest."""
        body = msgspec.json.encode(deployment)
        found = _read(await self._send("PUT", f"/v1/skills/{quote(name, safe='')}", content=body), dict[str, Any])
        return str(found["digest"])

    async def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, timeout_s: float = 0
    ) -> dict[str, Any]:
        """Return the answer of any route that answers JSON; `/openapi.json` describes them.

        :param query: parameters; those that are empty are left out. :param timeout_s: for what takes long.
        """
        more: dict[str, Any] = {"params": {name: value for name, value in (query or {}).items() if value}}
        more |= {"content": msgspec.json.encode(body)} if body is not None else {}
        more |= {"timeout": httpx.Timeout(timeout_s, connect=_CONNECT_S)} if timeout_s else {}
        return _read(await self._send(method, path, **more), dict[str, Any])

    async def ready(self) -> bool:
        """Tell whether the system could take a goal now."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def download(self, path: str, query: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Yield what a route sends piece by piece. It may end early when the system fails: its format tells."""
        wanted = {name: value for name, value in query.items() if value}
        try:
            async with self._http.stream("GET", path, params=wanted) as answer:
                if answer.status_code >= 400:
                    await answer.aread()
                    _check(answer)
                async for piece in answer.aiter_bytes():
                    yield piece
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise CallboardError("not_running", f"nobody answers at {self.url}: {error}") from None
        except httpx.HTTPError as error:
            raise CallboardError("unavailable", f"{self.url} broke off: {str(error) or type(error).__name__}") from None

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, **more)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise CallboardError("not_running", f"nobody answers at {self.url}: {error}") from None
        except httpx.HTTPError as error:
            raise CallboardError(
                "unavailable", f"{self.url} did not answer: {str(error) or type(error).__name__}"
            ) from None
        return _check(answer)


def _check(answer: httpx.Response) -> httpx.Response:
    if answer.status_code < 400:
        return answer
    try:
        problem = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        problem = {}
    code, detail = str(problem.get("code", "")), str(problem.get("detail", ""))
    if code not in CATALOGUE:
        code, detail = "unavailable", f"{answer.url} answered {answer.status_code}, which is no answer of Callboard's"
    raise CallboardError(code, detail.rstrip("."))


def _read(answer: httpx.Response, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=type_)
    except msgspec.MsgspecError as error:
        raise CallboardError("unavailable", f"{answer.url} answered what cannot be read: {error}") from None


def _run(found: dict[str, Any]) -> Run:
    known = {name: value for name, value in found.items() if name in _run_fields and value is not None}
    more = {name: value for name, value in found.items() if name not in _run_fields}
    return msgspec.convert(known | {"more": more}, Run)


def _ends(event: Event, run: str) -> bool:
    return event.kind in ("ended", "refused") and event.data.get("run") == run and event.data.get("actor") == "run"
