"""A call whose run ends first is given up: nobody waits for it, and what it still does may cost or change something.

Only calls that run for longer than a second listen for it, each to its own run's last record and nothing else. That
record comes on core NATS, at most once; a call that misses it runs to its end, and its result is booked as late.
"""

import asyncio
import contextlib
from typing import Self

from callboard.bus import Bus, Delivery
from callboard_contracts import ids, subjects

_AFTER_S = 1.0


class RunEnding:
    """Lets a clock run out when a run ends. `happened` tells that it did. Use as an async context manager."""

    def __init__(self, bus: Bus, tenant: str, run: str, clock: asyncio.Timeout) -> None:
        self.happened = False
        self._bus = bus
        self._subject = str(subjects.Live(tenant, ids.tree_of(run), run, "ended"))
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._listening: asyncio.Task[int] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._timer = self._loop.call_later(_AFTER_S, self._begin)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._listening is not None:
            with contextlib.suppress(Exception):  # the connection may be gone, and the subscription with it
                await self._bus.client.unlisten(await self._listening)

    def _begin(self) -> None:
        self._listening = self._loop.create_task(self._bus.client.listen(self._subject, self._on_ended))

    def _on_ended(self, _: Delivery) -> None:
        self.happened = True
        with contextlib.suppress(RuntimeError):  # it has just run out, or is not running any more
            self._clock.reschedule(self._loop.time())
