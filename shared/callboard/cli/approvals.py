"""`callboard approvals`: what waits for a person, exactly what would run, and the decision."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.where import Reached, Where, reach, run_async

if TYPE_CHECKING:
    from collections.abc import Mapping

app = App(name="approvals", help="See what waits for a person, and decide.")

_ANYWHERE = Where()
_LOOK = ("gateway", "ledger")
_STATUSES = ("open", "decided", "all", "approved", "denied", "answered", "expired", "withdrawn")
Id = Annotated[str, Parameter(help="The request's id, or its beginning.")]
Json = Annotated[bool, Parameter(help="What is known, as JSON lines.")]
Reason = Annotated[str, Parameter(help="Why, for the record; of a denial the model reads it.")]
Digest = Annotated[str, Parameter(help="Of what you saw, as `show` tells it. [default: what was proposed]")]


@app.command(name="ls")
def list_(
    *,
    status: Annotated[str, Parameter(help="open, decided, all, or one outcome. [default: open]")] = "open",
    run: Annotated[str, Parameter(help="Only those of this run and its sub-agents.")] = "",
    group: Annotated[str, Parameter(help="Only those that this group may decide.")] = "",
    mine: Annotated[bool, Parameter(help="Only those that you may decide.")] = False,
    limit: Annotated[int, Parameter(help="How many. [default: 20]")] = 20,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """List requests, newest first."""
    if status not in _STATUSES:
        from callboard_contracts.errors import CallboardError

        raise CallboardError("invalid_request", f"--status {status!r} is none of {', '.join(_STATUSES)}")
    filters: dict[str, str | int | bool] = {"status": "" if status == "all" else status, "group": group, "mine": mine}
    return run_async(_list(where, filters | {"limit": min(200, max(1, limit))}, run, json=json))


async def _list(where: Where, filters: dict[str, str | int | bool], run: str, *, json: bool) -> int:
    from callboard.cli.request import print_list
    from callboard.cli.runs import whole_id

    async with reach(where, only=_LOOK) as reached:
        filters["run"] = await whole_id(reached, run) if run else ""
        found = await reached.client.approvals.list(**filters)
    if json:
        _print_json(*found["approvals"])
    else:
        print_list(found["approvals"], filters, more=bool(found["next"]))
    return exits.OK


@app.command
def show(request: Id, /, *, json: Json = False, where: Where = _ANYWHERE) -> int:
    """Show exactly what would run, who may decide, what was said, and what led here."""
    return run_async(_show(where, request, json=json))


async def _show(where: Where, request: str, *, json: bool) -> int:
    from callboard.cli.request import print_request

    async with reach(where, only=_LOOK) as reached:
        found = await reached.client.approvals.get(await whole_request(reached, request))
        page = "" if reached.mine else f"{reached.client.url}/approvals/{found['id']}"
    if json:
        _print_json(found)
    else:
        print_request(found, page)
    return exits.OK


@app.command
def approve(
    request: Id, /, *, reason: Reason = "", digest: Digest = "", json: Json = False, where: Where = _ANYWHERE
) -> int:
    """Let the call run, exactly as it is shown."""
    return _vote(where, request, "approve", {"reason": reason, "digest": digest}, json=json)


@app.command
def deny(request: Id, /, *, reason: Reason = "", json: Json = False, where: Where = _ANYWHERE) -> int:
    """Refuse the call. The model reads the reason and may go another way."""
    return _vote(where, request, "deny", {"reason": reason}, json=json)


@app.command
def edit(
    request: Id,
    /,
    *,
    arguments: Annotated[str, Parameter(help="What is to run instead: JSON, a file of it, or - for standard input.")],
    reason: Reason = "",
    digest: Digest = "",
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Approve the call with other arguments."""
    from callboard.cli import wish

    said = {"arguments": wish.read_json(arguments, "--arguments"), "reason": reason, "digest": digest}
    return _vote(where, request, "edit", said, json=json)


@app.command
def answer(
    request: Id,
    text: Annotated[str, Parameter(help="The answer: text, or JSON where the question wants it.")],
    /,
    *,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Answer a question of an agent."""
    return _vote(where, request, "answer", {"answer": text}, json=json)


@app.command
def delegate(
    request: Id,
    to: Annotated[str, Parameter(help="The name of a key, or group:NAME.")],
    /,
    *,
    reason: Reason = "",
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Let somebody else decide in your place."""
    return _vote(where, request, "delegate", {"to": to, "reason": reason}, json=json)


def _vote(where: Where, request: str, decision: str, said: "dict[str, Any]", *, json: bool) -> int:
    return run_async(_voted(where, request, decision, said, json=json))


async def _voted(where: Where, request: str, decision: str, said: "dict[str, Any]", *, json: bool) -> int:
    from callboard.cli.request import outcome

    async with reach(where, start=False) as reached:
        asked = await reached.client.approvals.get(await whole_request(reached, request))
        found = await reached.client.approvals.vote(asked["id"], decision, **_completed(asked, decision, said))
    if json:
        _print_json(found)
        return exits.OK
    print(outcome(found, decision))
    print(f"Next: `callboard runs tail {asked['run']}`")
    return exits.OK


def _completed(asked: "Mapping[str, Any]", decision: str, said: "dict[str, Any]") -> dict[str, Any]:
    """Return what is said, with the digest of what was proposed: who approves an edit must name what it saw."""
    if decision == "answer":
        said = said | {"answer": _as_wanted(asked, said["answer"])}
    if decision in ("approve", "edit", "answer") and not said.get("digest"):
        said = said | {"digest": asked.get("proposed_digest") or asked["digest"]}
    return {name: value for name, value in said.items() if value != "" or name in ("answer", "arguments")}


def _as_wanted(asked: "Mapping[str, Any]", text: str) -> Any:
    """Return an answer as its question wants it: JSON where it has a schema that takes it, else the text."""
    import msgspec

    question = asked["arguments"] if isinstance(asked["arguments"], dict) else {}
    if not question.get("schema") or question["schema"].get("type") == "string":
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


async def whole_request(reached: Reached, given: str) -> str:
    """Return the id of the request that begins as given; a root run's id is the beginning of those of its requests.

    :raises CallboardError: `unknown_approval`, none or several of the open ones do.
    """
    from callboard_contracts import ids
    from callboard_contracts.errors import CallboardError

    text = given.strip().upper()
    if ids.is_call(text):
        return text
    page = await reached.client.approvals.list(limit=200, status="open")
    found = [row["request"] for row in page["approvals"] if text and row["request"].startswith(text)]
    if len(found) != 1:
        several = f"{len(found)} open requests begin with" if found else "no open request begins with"
        raise CallboardError("unknown_approval", f"{several} {given!r}")
    return str(found[0])


def _print_json(*values: Any) -> None:
    import msgspec

    for value in values:
        print(msgspec.json.encode(value).decode(), flush=True)
