"""Follows one journal into the tables: reads on from the position in the database, a page at a time.

The position is committed with the rows it belongs to, and nothing else is needed: no consumer, so nothing is delivered,
acknowledged or delivered again. A page costs one request however many records it holds.
"""

import asyncio
import sqlite3
from collections.abc import Callable

import structlog

from callboard.bus import Bus, BusError, Delivery, reader
from callboard.bus.streams import described
from callboard.progress import Progress
from callboard.tasks import finished
from callboard_services.ledger.archive import index
from callboard_services.ledger.batch import folded
from callboard_services.ledger.store import Store

log = structlog.get_logger()

_EVERY = "cb.*.*.*.*.*.log.>"
_PAGE = 4096
_PAGE_BYTES = 4 * 1024 * 1024
"""For each page the broker counts what comes after it, 0.2 µs a subject: far behind, small pages would cost it most."""
_BATCH = 256
"""So many records are folded in one go, which takes some 5 ms, and committed together."""
_BUSY_S = 0.1
"""How long records gather for the next page while there are any, unless somebody waits for one."""
_IDLE_S = 0.25
_RETRY_S = 1.0
_LOOK_S = 1.0
"""How often the stream is looked at: a page does not tell whether it is still the same."""


class StreamReplacedError(Exception):
    """The stream is not the one that was folded: the tables must be built anew."""


class Follower(Progress):
    """One journal's way into the tables."""

    def __init__(self, bus: Bus, store: Store, stream: str, created: str, position: int, through: int = 0) -> None:
        super().__init__(position, asked_s=_BUSY_S)
        self.stream = stream
        self._bus = bus
        self._store = store
        self._created = created
        self._through = through
        """Up to here the archive may hold what the journal holds."""
        self._pause_s = _BUSY_S
        self.watch: Callable[[list[Delivery]], None] = lambda _: None
        """Is shown all records that are committed, in their order."""

    async def run(self) -> None:
        """Follow until cancelled.

        :raises StreamReplacedError: start again with the position of the new stream.
        """
        self._bus.on_reconnect.append(self._wake)
        try:
            async with reader.Pages(self._bus, self.stream, _EVERY, batch=_PAGE, most_bytes=_PAGE_BYTES) as pages:
                while True:
                    await self._pause(await self._read_on(pages))
        finally:
            self._bus.on_reconnect.remove(self._wake)

    async def _read_on(self, pages: reader.Pages) -> float:
        """Fold a page, and return how long to wait before the next. What fails is read again from the position."""
        self._hurry.clear()
        try:
            await self._look()
            found, more = await pages.read(self.position + 1)
            for start in range(0, len(found), _BATCH):
                await self._commit(found[start : start + _BATCH])
        except (BusError, sqlite3.Error) as error:
            log.warning("the ledger waits", stream=self.stream, reason=str(error))
            self._look_at = 0.0
            await asyncio.sleep(_RETRY_S)
            return 0.0
        self._pause_s = _BUSY_S if found else min(2 * self._pause_s, _IDLE_S)
        return 0.0 if more else self._pause_s

    async def _look(self) -> None:
        """Look now and then whether the stream is still the one that was folded."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        created, last = await described(self._bus, self.stream)
        if created != self._created or last < self.position:
            raise StreamReplacedError(self.stream)
        self._look_at = now + _LOOK_S

    async def _commit(self, batch: list[Delivery]) -> None:
        archived = await asyncio.to_thread(self._archived, batch) if batch[0].seq <= self._through else {}
        rows, seq = folded(self._bus, batch, archived), batch[-1].seq
        await finished(asyncio.to_thread(self._store.write, rows, self.stream, self._created, seq))
        self.watch(batch)
        await self._move(seq)

    def _archived(self, batch: list[Delivery]) -> dict[index.Tree, int]:
        trees = {(tokens[1], tokens[4]) for tokens in (found.stored_subject.split(".") for found in batch)}
        return index.archived(self._store, self.stream, self._created, trees)
