"""Reads the body of a provider's response, piece by piece and within bounds of time and size."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import httpx

from callboard_services.models.errors import ProviderError
from callboard_services.models.heard import Heard
from callboard_services.models.provider import Emit
from callboard_services.models.sse import DONE, Events

_BODY_BYTES = 16_000_000
_TAIL_S = 0.2


async def answer(response: httpx.Response, heard: Heard, emit: Emit, idle_s: float) -> None:
    """Read an answer, streamed or whole.

    :raises ProviderError: it pauses too long, breaks off or cannot be read.
    """
    if "event-stream" in response.headers.get("content-type", ""):
        await _streamed(response, heard, emit, idle_s)
    else:
        _whole(await body(response, idle_s, _BODY_BYTES), heard, emit)


async def body(response: httpx.Response, idle_s: float, most: int) -> bytes:
    """Return a body, at most `most` bytes of it."""
    found = bytearray()
    async with aclosing(_pieces(response, idle_s)) as pieces:
        async for piece in pieces:
            found += piece
            if len(found) >= most:
                break
    return bytes(found[:most])


async def _streamed(response: httpx.Response, heard: Heard, emit: Emit, idle_s: float) -> None:
    events = Events()
    async with aclosing(_pieces(response, idle_s)) as pieces:
        async for piece in pieces:
            if _told(events.feed(piece), heard, emit):
                await _drain(pieces)
                return
    if not _told(events.close(), heard, emit) and not heard.finish:
        raise ProviderError("provider_malformed", "the answer broke off before its end", tokens=heard.tokens)


async def _pieces(response: httpx.Response, idle_s: float) -> AsyncGenerator[bytes, None]:
    """Yield what arrives; a silence longer than the idle time ends it, except before the first piece."""
    pieces, patience = response.aiter_bytes(), None
    while True:
        try:
            with anyio.fail_after(patience):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ProviderError("provider_timeout", f"the answer paused for {idle_s:g} s") from None
        patience = idle_s
        yield piece


async def _drain(pieces: AsyncGenerator[bytes, None]) -> None:
    """Read what follows the end of an answer, which is next to nothing: then the connection can be used again."""
    with anyio.move_on_after(_TAIL_S):
        async for _ in pieces:
            pass


def _told(events: list[bytes], heard: Heard, emit: Emit) -> bool:
    """Take events; tell whether the answer said that it is over."""
    for data in events:
        if data == DONE:
            return True
        if text := heard.add(data):
            emit(text)
    return False


def _whole(body: bytes, heard: Heard, emit: Emit) -> None:
    """Take an answer in one piece, or events that were not announced as such."""
    if body.lstrip().startswith(b"data:"):
        _told(Events().feed(body.strip() + b"\n"), heard, emit)
    elif text := heard.add(body):
        emit(text)
