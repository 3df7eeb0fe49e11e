"""All between the journals and a collector: on where OpenTelemetry's variables name one, and nothing otherwise."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from callboard.bus import Bus
from callboard.bus.streams import described
from callboard.lock import Lock
from callboard.traces import Span, environment
from callboard.traces.environment import Environment
from callboard_contracts.errors import CallboardError
from callboard_services.ledger.store import Store
from callboard_services.ledger.traces.kept import FILE, LOCK, Kept, mark
from callboard_services.ledger.traces.measuring import Measuring, stopped
from callboard_services.ledger.traces.sender import Sender
from callboard_services.ledger.traces.sending import Sending
from callboard_services.ledger.traces.tracer import Send, Tracer

log = structlog.get_logger()

FOLDER: Final = "traces"
_LAST_WORDS_S: Final = 3.0
"""How long a ledger that stops may take to send what has just ended."""
_INSTALL: Final = "install callboard[otlp], or set OTEL_EXPORTER_OTLP_PROTOCOL=http/json"
_TAKE_OVER_S: Final = 5.0
_RETRY_S: Final = 5.0

Journals = Mapping[str, tuple[str, int]]
"""When each journal was made, and its last sequence."""


class Exporting:
    """The export of one process. Without an endpoint `start` does nothing, and no span is ever built.

    :param contents: send prompts, arguments and outputs as well.
    """

    def __init__(self, bus: Bus, data: Path, journals: Journals, store: Store, *, contents: bool) -> None:
        self._bus = bus
        self._folder = data / FOLDER
        self._journals = journals
        self._store = store
        self._contents = contents
        self._environment = Environment()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, if there is where to send, with what begins from now on. What is wrong is said, and stops nobody."""
        try:
            self._environment = environment.read(os.environ)
            if not self._environment.on:
                return
            if self._environment.needs_protobuf and not environment.installed():
                raise CallboardError("invalid_request", _INSTALL)
            await asyncio.to_thread(mark, self._folder, self._journals, _now_ms())
        except (CallboardError, OSError, sqlite3.Error) as error:
            log.error("no traces are sent", reason=getattr(error, "detail", str(error)))
            return
        self._task = asyncio.create_task(self._run())

    async def finish(self) -> None:
        """Send what has ended, within a moment, and stop."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LAST_WORDS_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Export until told to stop; what fails unforeseen is begun again from the positions."""
        while not self._stop.is_set():
            try:
                await self._own()
            except Exception:  # a bug here must cost no run, and nothing else that the ledger does
                log.exception("traces begin again from their positions")
                await stopped(self._stop, _RETRY_S)

    async def _own(self) -> None:
        """Export as the one who holds the folder; another process takes over when this one dies.

        :raises OSError: a certificate cannot be read. :raises sqlite3.Error: the folder cannot be written.
        """
        with Lock(self._folder / LOCK) as lock:
            while not await self._taken(lock):
                if await stopped(self._stop, _TAKE_OVER_S):
                    return
            kept = await asyncio.to_thread(Kept, self._folder / FILE, _now_ms())
            try:
                await self._export(kept)
            finally:
                await asyncio.to_thread(kept.close)

    async def _taken(self, lock: Lock) -> bool:
        try:
            return await asyncio.to_thread(lock.take)
        except OSError as error:
            log.error("no traces are sent", reason=str(error))
            return False

    async def _export(self, kept: Kept) -> None:
        targets = self._environment
        log.info("traces are sent", traces=bool(targets.traces), metrics=bool(targets.metrics))
        async with contextlib.AsyncExitStack() as stack:
            send: Send = self._discard
            if targets.traces is not None:
                sending = Sending(self._bus, len(self._journals), targets.traces, targets, contents=self._contents)
                send = (await stack.enter_async_context(sending)).send
            work = [self._trace(kept, stream, send) for stream in self._journals]
            if targets.metrics is not None:
                metrics = Sender(targets.metrics)
                stack.push_async_callback(metrics.aclose)
                every_s = targets.metrics_every_s
                work.append(Measuring(self._bus, kept, self._store, metrics, targets.resource).run(self._stop, every_s))
            async with asyncio.TaskGroup() as group:
                for one in work:
                    group.create_task(one)

    async def _trace(self, kept: Kept, stream: str, send: Send) -> None:
        """Follow one journal.

        :raises BusError: it cannot be described.
        """
        created, last = await described(self._bus, stream)
        position = await asyncio.to_thread(kept.begin, stream, created, last)
        await Tracer(self._bus, kept, stream, created, position, send).run(self._stop)

    async def _discard(self, stream: str, spans: Sequence[Span]) -> None:
        """Send no spans: only metrics are wanted."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
