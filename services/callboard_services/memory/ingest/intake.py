"""How a document comes in: begun by a question, its bytes on a subject of its own, and there the answer is fetched.

    ask.memory.ingest            what is to be ingested, and how many bytes come  →  {"token": …}
    ask.memory.ingest.<token>    a piece of the bytes                             →  {"got": …}
    ask.memory.ingest.<token>    nothing: how is it?                              →  {"working": true}, or the answer

Nothing of it is stored before the whole is: who hears no answer begins again, and what was done is not done twice. An
answer across accounts must come within two minutes, and a long book takes longer: so it is asked for.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from callboard.bus import Bus, Delivery
from callboard_contracts import subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_services.memory.ingest.fetch import MAX_BYTES
from callboard_services.memory.ingest.wanted import Answer, Wanted

log = structlog.get_logger()

POLL_S = 20.0
"""How long a question for the answer is left open."""
_PATIENCE_S = 60.0
"""Who says nothing for so long has gone."""
_MOST_AT_ONCE = 8


Work = Callable[[str, Wanted, bytes], Awaitable[Answer]]
"""Ingests a document of a tenant, and returns what is said of it."""


class Intake:
    """Takes documents in, a few at once."""

    def __init__(self, bus: Bus, work: Work, *, patience_s: float = _PATIENCE_S) -> None:
        self._bus = bus
        self._work = work
        self._patience_s = patience_s
        self._open: set[asyncio.Task[None]] = set()

    async def begin(self, tenant: str, wanted: Wanted) -> Answer:
        """Open a document's own subject.

        :raises CallboardError: `file_too_large`, `unavailable` while too many are open.
        """
        if wanted.bytes > MAX_BYTES:
            raise CallboardError("file_too_large", f"it has {wanted.bytes:,} bytes, {MAX_BYTES:,} is the most")
        if len(self._open) >= _MOST_AT_ONCE:
            raise CallboardError("unavailable", "too many documents come in at once")
        token = secrets.token_hex(8)
        one = _One(self._bus, tenant, wanted, self._work, self._patience_s)
        stop = await self._bus.subscribe(subjects.ask(tenant, "memory", f"ingest.{token}"), one.take)
        task = asyncio.create_task(_closed(one, stop))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return {"token": token}

    async def stop(self) -> None:
        """Give up what is open: nothing of it is half-done."""
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


async def _closed(one: "_One", stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await one.run()
    finally:
        await stop()


class _One:
    """One document on its way."""

    def __init__(self, bus: Bus, tenant: str, wanted: Wanted, work: Work, patience_s: float) -> None:
        self._bus = bus
        self._tenant = tenant
        self._wanted = wanted
        self._work = work
        self._patience_s = patience_s
        self._data = bytearray()
        self._came: asyncio.Queue[int] = asyncio.Queue()
        """How many bytes there are, with each piece."""
        self._asked: asyncio.Queue[str] = asyncio.Queue()
        """Where those wait who asked for the answer."""

    def take(self, message: Delivery) -> None:
        """Take a piece of the bytes, or the question for the answer."""
        if not message.body:
            self._asked.put_nowait(message.reply)
        elif len(self._data) + len(message.body) > self._wanted.bytes:
            self._reply(message.reply, {"error": "invalid_request", "detail": "more bytes came than were announced"})
        else:
            self._data += message.body
            self._came.put_nowait(len(self._data))
            self._reply(message.reply, {"got": len(self._data)})

    async def run(self) -> None:
        """Wait for the bytes, ingest them, and have the answer fetched; end when nobody is there any more."""
        with contextlib.suppress(TimeoutError):
            got = 0
            while got < self._wanted.bytes:
                got = await asyncio.wait_for(self._came.get(), self._patience_s)
            working = asyncio.create_task(self._answered())
            try:
                while True:
                    reply = await asyncio.wait_for(self._asked.get(), self._patience_s)
                    await asyncio.wait([working], timeout=POLL_S)
                    if working.done():
                        self._reply(reply, working.result())
                        return
                    self._reply(reply, {"working": True})
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

    async def _answered(self) -> Answer:
        try:
            return await self._work(self._tenant, self._wanted, bytes(self._data))
        except CallboardError as error:
            return {"error": error.code, "detail": error.detail}
        except Exception:  # whatever a document does, whoever sent it hears of it
            log.exception("a document was not ingested", source=self._wanted.source or self._wanted.url)
            return {"error": "internal", "detail": "the document could not be ingested"}

    def _reply(self, reply: str, answer: Answer) -> None:
        if reply:
            self._bus.send(reply, wire.encode(answer))
