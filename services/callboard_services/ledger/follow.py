"""Follows one journal into the tables. The position in the database is the truth; the durable only wakes it up.

A record is folded when it continues the position. Wherever something may be missing between the two (a start, a
reconnect, a delivery that went to another process), everything after the position is read from the stream instead.
"""

import asyncio
import contextlib
import sqlite3

import structlog

from callboard.bus import Bus, BusError, Delivery, Puller, ack, reader
from callboard_services.ledger.archive import index
from callboard_services.ledger.batch import folded
from callboard_services.ledger.store import Store
from callboard_services.ledger.streams import described

log = structlog.get_logger()

_DURABLE = "ledger"
_EVERY = "cb.*.*.*.*.*.log.>"
_ROOM = 512
_BATCH = 1024
_LINGER_S = 0.025
"""How long records are gathered before they are committed together, unless somebody waits for them."""
_RETRY_S = 1.0


class StreamReplacedError(Exception):
    """The stream is not the one that was folded: the tables must be built anew."""


class Follower:
    """One journal's way into the tables."""

    def __init__(self, bus: Bus, store: Store, stream: str, created: str, position: int, through: int = 0) -> None:
        self.stream = stream
        self.position = position
        self._bus = bus
        self._store = store
        self._created = created
        self._through = through
        """Up to here the archive may hold what the journal holds."""
        self._held: list[Delivery] = []
        self._expected = 0
        """The consumer sequence that comes next when nothing was missed."""
        self._behind = True
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._moved = asyncio.Condition()
        self._puller = Puller(bus, stream, _DURABLE, self._on_record, room=_ROOM)

    async def run(self) -> None:
        """Follow until cancelled.

        :raises StreamReplacedError: start again with the position of the new stream.
        """
        self._bus.on_reconnect.append(self._on_reconnect)
        self._wake.set()
        await self._puller.start()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._take_over()
        finally:
            self._bus.on_reconnect.remove(self._on_reconnect)
            with contextlib.suppress(Exception):
                await asyncio.shield(self._puller.stop())

    async def reached(self, seq: int, within_s: float) -> bool:
        """Wait until the tables hold everything up to a sequence. False when they do not in time."""
        if self.position >= seq:
            return True
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self.position >= seq)
        return self.position >= seq

    def _on_record(self, delivery: Delivery) -> None:
        if delivery.consumer_seq != self._expected:
            self._behind = True
        self._expected = delivery.consumer_seq + 1
        self._held.append(delivery)
        self._wake.set()

    def _on_reconnect(self) -> None:
        self._behind = True
        self._wake.set()

    async def _take_over(self) -> None:
        """Fold what came, then acknowledge it. What fails is not lost: it is read again from the position."""
        if not self._behind:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    await self._hurry.wait()
        self._hurry.clear()
        taken, self._held = self._held, []
        try:
            await self._fold_all(taken)
        except (BusError, sqlite3.Error) as error:
            log.warning("the ledger waits", stream=self.stream, reason=str(error))
            await asyncio.sleep(_RETRY_S)
            self._behind = True
            self._wake.set()
        else:
            for delivery in taken:
                ack(self._bus, delivery)
        for _ in taken:
            self._puller.done()

    async def _fold_all(self, taken: list[Delivery]) -> None:
        if self._behind:
            self._behind = False
            await self._catch_up()
        fresh = [delivery for delivery in taken if delivery.seq > self.position]
        if fresh:
            await self._commit(fresh)

    async def _catch_up(self) -> None:
        """Read everything after the position."""
        await self._check_stream()
        batch: list[Delivery] = []
        async for record in reader.scan(self._bus, self.stream, _EVERY, self.position + 1):
            batch.append(record)
            if len(batch) == _BATCH:
                await self._commit(batch)
                batch = []
        if batch:
            await self._commit(batch)

    async def _check_stream(self) -> None:
        created, last = await described(self._bus, self.stream)
        if created != self._created or last < self.position:
            raise StreamReplacedError(self.stream)

    async def _commit(self, batch: list[Delivery]) -> None:
        archived = await asyncio.to_thread(self._archived, batch) if batch[0].seq <= self._through else {}
        rows, seq = folded(self._bus, batch, archived), batch[-1].seq
        await asyncio.to_thread(self._store.write, rows, self.stream, self._created, seq)
        self.position = seq
        async with self._moved:
            self._moved.notify_all()

    def _archived(self, batch: list[Delivery]) -> dict[index.Tree, int]:
        trees = {(tokens[1], tokens[4]) for tokens in (found.stored_subject.split(".") for found in batch)}
        return index.archived(self._store, self.stream, self._created, trees)
