"""A fake OpenAI-compatible server, with the faults that real ones have: a public fake at the edge, instead of patches.

    async with OpenAIServer(Status(429, headers={"retry-after": "1"}), Say(text="Hello")) as server:
        provider = OpenAI(server.url)

Each request gets the next behaviour; the last one goes on for ever. What was asked stands in `server.requests`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import msgspec

from callboard.tasks import Tasks


class Say(msgspec.Struct, frozen=True, kw_only=True):
    """Answer as one should, in pieces when the request wants that and `streams`."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    """Function and arguments, as text."""
    finish: str = ""
    """`finish_reason`; empty: `tool_calls` or `stop`."""
    usage: tuple[int, int] | None = (100, 10)
    """Tokens in and out; None: not reported."""
    streams: bool = True
    pause_s: float = 0.0
    """Before each piece."""


class Status(msgspec.Struct, frozen=True):
    """Refuse with an HTTP status."""

    code: int
    body: str = '{"error": {"message": "no"}}'
    headers: dict[str, str] = {}


class Body(msgspec.Struct, frozen=True):
    """Answer 200 with a body as it stands."""

    body: str
    content_type: str = "application/json"


class Cut(msgspec.Struct, frozen=True):
    """Begin to stream, then break the connection."""

    text: str = "half an ans"


class Stall(msgspec.Struct, frozen=True):
    """Begin to stream, then say nothing more."""

    text: str = "half an ans"


class Hang(msgspec.Struct, frozen=True):
    """Take the request and never answer."""


Reaction = Say | Status | Body | Cut | Stall | Hang


class Think(msgspec.Struct, frozen=True):
    """Answer by what is asked."""

    answer: Callable[[dict[str, Any]], Reaction]
    """Takes the body of the request."""


Behaviour = Reaction | Think


class OpenAIServer:
    """Listens on a free port of this machine while it is entered.

    :param behaviours: one per request. :param models: what `/v1/models` lists, and how many tokens each reads.
    """

    def __init__(
        self, *behaviours: Behaviour, models: tuple[str, ...] = ("fake",), context_tokens: int | None = None
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        """The bodies of the completions that were asked for."""
        self.keys: list[str] = []
        """The `authorization` header of each."""
        self.url = ""
        self.behaviours = list(behaviours) or [Say(text="ok")]
        self._models = models
        self._context_tokens = context_tokens
        self._tasks = Tasks()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Start to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and let go of every request that hangs."""
        if self._server is not None:
            self._server.close()
        await self._tasks.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.spawn(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path, headers, body = await _request(reader)
            if path.endswith("/models"):
                listed = {"object": "list", "data": [self._listed(name) for name in self._models]}
                _whole(writer, 200, json.dumps(listed))
            else:
                await self._complete(writer, headers, json.loads(body))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _listed(self, name: str) -> dict[str, Any]:
        reads = {} if self._context_tokens is None else {"max_model_len": self._context_tokens}
        return {"id": name, "object": "model", **reads}

    async def _complete(self, writer: asyncio.StreamWriter, headers: dict[str, str], body: dict[str, Any]) -> None:
        at = min(len(self.requests), len(self.behaviours) - 1)
        self.requests.append(body)
        self.keys.append(headers.get("authorization", ""))
        behaviour = self.behaviours[at]
        match behaviour.answer(body) if isinstance(behaviour, Think) else behaviour:
            case Say() as say if say.streams and body.get("stream"):
                await _stream(writer, _chunks(say, body["model"]))
            case Say() as say:
                _whole(writer, 200, json.dumps(_completion(say, body["model"])))
            case Status(code=code, body=text, headers=more):
                _whole(writer, code, text, headers=more)
            case Body(body=text, content_type=content_type):
                _whole(writer, 200, text, content_type)
            case Cut(text=text):
                await _begin(writer, text, body["model"])
                writer.transport.abort()
            case Stall(text=text):
                await _begin(writer, text, body["model"])
                await asyncio.Event().wait()
            case Hang():
                await asyncio.Event().wait()


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Read one request: its path, headers and body."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return first.split(" ")[1], headers, await reader.readexactly(int(headers.get("content-length", 0)))


def _whole(
    writer: asyncio.StreamWriter,
    status: int,
    body: str,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body.encode())}\r\n{more}"
    writer.write(f"{head}connection: close\r\n\r\n{body}".encode())


async def _stream(writer: asyncio.StreamWriter, events: AsyncIterator[str]) -> None:
    _head(writer)
    async for event in events:
        _event(writer, event)
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def _begin(writer: asyncio.StreamWriter, text: str, model: str) -> None:
    _head(writer)
    _event(writer, _chunk(model, {"content": text}))
    await writer.drain()


def _head(writer: asyncio.StreamWriter) -> None:
    head = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close"
    writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())


def _event(writer: asyncio.StreamWriter, data: str) -> None:
    event = f"data: {data}\n\n".encode()
    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")


async def _chunks(say: Say, model: str) -> AsyncIterator[str]:
    """Yield an answer as events: the text word by word, arguments in halves, the usage in an event of its own."""
    for delta in _deltas(say):
        await asyncio.sleep(say.pause_s)
        yield _chunk(model, delta)
    yield _chunk(model, {}, _finish(say))
    if say.usage is not None:
        yield json.dumps({"model": model, "choices": [], "usage": _usage(say.usage)})
    yield "[DONE]"


def _deltas(say: Say) -> list[dict[str, Any]]:
    words: list[dict[str, Any]] = [{"content": word} for word in say.text.split(" ") if word]
    for word in words[1:]:
        word["content"] = f" {word['content']}"
    for index, (name, arguments) in enumerate(say.calls):
        half = len(arguments) // 2
        named = {"name": name, "arguments": arguments[:half]}
        words += [
            {"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": named}]},
            {"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]},
        ]
    return words


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps(
        {"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [choice], "usage": None}
    )


def _completion(say: Say, model: str) -> dict[str, Any]:
    calls = [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(say.calls)
    ]
    message = {"role": "assistant", "content": say.text or None} | ({"tool_calls": calls} if calls else {})
    choice = {"index": 0, "message": message, "finish_reason": _finish(say)}
    usage = {} if say.usage is None else {"usage": _usage(say.usage)}
    return {"id": "c", "object": "chat.completion", "model": model, "choices": [choice]} | usage


def _finish(say: Say) -> str:
    return say.finish or ("tool_calls" if say.calls else "stop")


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
