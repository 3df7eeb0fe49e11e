"""A response that never ends by itself, for a client that may never read: it holds one piece, and it lets go."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from starlette.types import Receive, Scope, Send

EVENTS = "text/event-stream; charset=utf-8"
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class EventStream:
    """Sends pieces until they end, the client leaves, `stop` is set, or the client has not read for `patience_s`."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        stop: asyncio.Event,
        patience_s: float,
        hang_up: Callable[[], None],
        media: str = EVENTS,
    ) -> None:
        self._pieces = pieces
        self._stop = stop
        self._patience_s = patience_s
        self._hang_up = hang_up
        self._headers = [(b"content-type", media.encode()), *_HEADERS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        tasks = [
            asyncio.create_task(self._send_all(send)),
            asyncio.create_task(_left(receive)),
            asyncio.create_task(self._stop.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks[0].cancelled() and (error := tasks[0].exception()):
            self._hang_up()
            if not isinstance(error, TimeoutError):
                raise error
            return
        with contextlib.suppress(TimeoutError):
            await self._piece(send, b"", more=False)

    async def _send_all(self, send: Send) -> None:
        async with contextlib.aclosing(self._pieces) as pieces:
            async for piece in pieces:
                await self._piece(send, piece, more=True)

    async def _piece(self, send: Send, body: bytes, *, more: bool) -> None:
        """Send one piece.

        :raises TimeoutError: the client does not read.
        """
        async with asyncio.timeout(self._patience_s):
            await send({"type": "http.response.body", "body": body, "more_body": more})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
