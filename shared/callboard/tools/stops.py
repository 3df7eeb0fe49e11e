"""Held calls that are told to stop: their run, or one above it, was cancelled, or their run ended.

A process has one listener for every cancellation. A call that has run for half a second also listens for the end of
its own run, and asks once whether it is still waited for. Core NATS delivers at most once: a cancellation that nobody
heard is found out by asking the planner when a call is delivered again, or was granted before this process listened.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Literal

import structlog

from callboard.bus import Bus, BusError, Delivery
from callboard.tasks import Tasks
from callboard.tools import once
from callboard.tools.clock import BrokerClock
from callboard_contracts import guard, ids, journal, subjects, wire

log = structlog.get_logger()

Reason = Literal["", "cancelled", "ended"]

CANCELLATIONS = "cb.*.live.*.*.cancelled"
_LONG_S = 0.5
_REMEMBERED = 4096
"""Cancelled runs that are remembered, for calls of theirs that are still on their way."""


class Told:
    """What one held call was told. The clock that it heeds runs out when it is told to stop."""

    def __init__(self, tenant: str, call: str, reason: Reason) -> None:
        self.tenant = tenant
        self.call = call
        self.run = ids.run_of(call)
        self.reason: Reason = reason
        self.since: float | None = None
        """The loop's time since which its handler runs."""
        self.leave: Callable[[], Any] | None = None
        """Stops listening for its run's end."""
        self._clock: asyncio.Timeout | None = None

    def heed(self, clock: asyncio.Timeout) -> None:
        """Let a clock that was just entered run out when the call is told to stop, at once if it was before."""
        self._clock = clock
        if self.reason:
            self._stop()

    def tell(self, reason: Reason) -> None:
        """Tell it to stop; the first reason stays."""
        if not self.reason:
            self.reason = reason
            self._stop()

    def _stop(self) -> None:
        if self._clock is not None:
            with contextlib.suppress(RuntimeError):  # it has run out, or what it was for is over
                self._clock.reschedule(asyncio.get_running_loop().time())


class Stops:
    """The calls that one process holds, each once, and what it heard of their runs."""

    def __init__(self, bus: Bus, clock: BrokerClock) -> None:
        self.since_ms = 0.0
        """The broker's time since which every cancellation is heard; what was granted before may be cancelled."""
        self._bus = bus
        self._clock = clock
        self._held: dict[tuple[str, str], Told] = {}
        self._cancelled: dict[tuple[str, str], None] = {}
        self._leave: Callable[[], Any] | None = None
        self._tasks = Tasks()

    async def start(self) -> None:
        """Listen. What is cancelled after this is heard.

        :raises NoAnswer: the broker does not answer.
        """
        self._leave = await self._bus.subscribe(CANCELLATIONS, self._on_record)
        self._bus.on_reconnect.append(self._on_reconnect)
        self._on_reconnect()
        self._tasks.spawn(self._look())

    async def stop(self) -> None:
        """Listen no more."""
        await self._tasks.stop()
        if self._on_reconnect in self._bus.on_reconnect:
            self._bus.on_reconnect.remove(self._on_reconnect)
        if self._leave is not None:
            await _quietly(self._leave)

    def hold(self, tenant: str, call: str) -> Told | None:
        """Hold a call until `release`; None when this process holds it already."""
        key = (tenant, call)
        if key in self._held:
            return None
        told = self._held[key] = Told(tenant, call, "cancelled" if self._was_cancelled(tenant, call) else "")
        return told

    def release(self, told: Told) -> None:
        """Hold a call no more."""
        del self._held[(told.tenant, told.call)]
        if told.leave is not None:
            self._tasks.spawn(_quietly(told.leave))

    def _on_reconnect(self) -> None:
        self.since_ms = self._clock.now_ms()

    def _was_cancelled(self, tenant: str, call: str) -> bool:
        return bool(self._cancelled) and any((tenant, run) in self._cancelled for run in ids.lineage(ids.run_of(call)))

    def _on_record(self, message: Delivery) -> None:
        try:
            tenant = subjects.Live.parse(message.subject).tenant
            record = wire.decode(message.body, journal.Record)
        except ValueError as error:
            log.warning("cancellation not understood", subject=message.subject, detail=str(error))
            return
        for event in record.events:
            if isinstance(event, guard.Cancelled):
                self._cancel(tenant, event.run)

    def _cancel(self, tenant: str, run: str) -> None:
        self._cancelled[(tenant, run)] = None
        if len(self._cancelled) > _REMEMBERED:
            del self._cancelled[next(iter(self._cancelled))]
        for told in self._held.values():
            if told.tenant == tenant and run in ids.lineage(told.run):
                told.tell("cancelled")

    async def _look(self) -> None:
        """Find the calls that take long."""
        while True:
            await asyncio.sleep(_LONG_S)
            before = asyncio.get_running_loop().time() - _LONG_S
            for told in self._held.values():
                if told.leave is None and told.since is not None and told.since <= before:
                    told.leave = _nothing
                    self._tasks.spawn(self._heed_end(told))

    async def _heed_end(self, told: Told) -> None:
        """Listen for the end of a call's run, then ask whether it is waited for: it may have ended before."""
        subject = str(subjects.Live(told.tenant, ids.tree_of(told.run), told.run, "ended"))
        try:
            told.leave = await self._bus.subscribe(subject, lambda _: told.tell("ended"))
            if self._held.get((told.tenant, told.call)) is not told:
                await _quietly(told.leave)
            elif await once.is_open(self._bus, told.tenant, told.call) is False:
                told.tell("ended")
        except BusError as error:
            log.debug("run's end not heeded", call=told.call, detail=str(error))


def _nothing() -> None:
    """Leave nothing: the call is about to listen."""


async def _quietly(leave: Callable[[], Any]) -> None:
    """Stop listening; the connection may be gone, and the subscription with it."""
    with contextlib.suppress(Exception):
        if (waiting := leave()) is not None:
            await waiting
