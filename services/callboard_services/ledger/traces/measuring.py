"""Tells a collector now and then what was counted, and where things stand."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Mapping

from callboard.bus import Bus, BusError, layout
from callboard.traces.metrics import Metrics
from callboard_services.ledger.store import Store
from callboard_services.ledger.traces.form import Form
from callboard_services.ledger.traces.kept import Kept
from callboard_services.ledger.traces.sender import NotTakenError, Sender

_LAST_S = 0.3
_REQUESTS = "SELECT COUNT(*) AS open FROM approvals WHERE status = 'open'"


class Measuring:
    """The way of the metrics. What is not taken is not sent again: the next time says all of it."""

    def __init__(self, bus: Bus, kept: Kept, store: Store, sender: Sender, resource: Mapping[str, str]) -> None:
        self._bus = bus
        self._kept = kept
        self._store = store
        self._sender = sender
        self._form = Form(sender.target.protocol, resource)

    async def run(self, stop: asyncio.Event, every_s: float) -> None:
        """Tell every so often, and once more when told to stop."""
        while not await stopped(stop, every_s):
            await self._tell()
        await asyncio.sleep(_LAST_S)  # what has just ended is counted meanwhile
        await self._tell()

    async def _tell(self) -> None:
        with contextlib.suppress(NotTakenError, BusError, sqlite3.Error):
            found = await asyncio.to_thread(self._kept.metrics)
            await self._gauge(found)
            await self._sender.post(self._form.metrics(found, time.time_ns() // 1_000_000))

    async def _gauge(self, found: Metrics) -> None:
        info = await self._bus.api(f"STREAM.INFO.{layout.GOALS}")
        found.gauge("callboard.goals.waiting", "{goal}", int(info["state"]["messages"]))
        found.gauge("callboard.trees.open", "{tree}", await asyncio.to_thread(self._kept.open_trees))
        requests = await asyncio.to_thread(self._store.select, _REQUESTS)
        found.gauge("callboard.approvals.open", "{request}", int(requests[0]["open"]))


async def stopped(stop: asyncio.Event, within_s: float) -> bool:
    """Wait until told to stop. False when that was not said in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await stop.wait()
    return stop.is_set()
