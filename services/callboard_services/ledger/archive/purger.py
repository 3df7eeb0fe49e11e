"""Purges what is in the archive: many trees in a sweep, a few one by one."""

import asyncio
from collections.abc import Mapping

import structlog

from callboard.bus import Bus
from callboard_services.ledger.archive import index
from callboard_services.ledger.archive.parquet import Entry
from callboard_services.ledger.archive.sweep import sweep
from callboard_services.ledger.archive.tree import take_out
from callboard_services.ledger.store import Store

log = structlog.get_logger()

FEW = 32
"""So many trees of a stream are purged one by one in a round, each of which costs the broker as much as a sweep does.

More are swept first. What a sweep leaves, because an older run goes on, is for this round and the next ones.
"""
_MOST = 1000


class Purger:
    """Takes out of the journal what the index names, and only that."""

    def __init__(self, bus: Bus, store: Store, created: Mapping[str, str]) -> None:
        self._bus = bus
        self._store = store
        self._created = created

    async def pending(self) -> bool:
        """Tell whether anything is to be purged."""
        return any([await self._pending(stream, 1) for stream in self._created])

    async def run(self) -> None:
        """Purge.

        :raises BusError: not everything is; call it again.
        """
        for stream in self._created:
            pending = await self._pending(stream)
            count = await sweep(self._bus, stream, self._find) if len(pending) > FEW else 0
            trees, costly = 0, 0
            while pending and costly < FEW:
                for entry in pending:
                    found = await self._take_out(entry)
                    count, costly, trees = count + found, costly + bool(found), trees + 1
                    if costly == FEW:
                        break
                pending = await self._pending(stream)
            if trees:
                log.info("purged", stream=stream, trees=trees, messages=count)

    async def _pending(self, stream: str, most: int = _MOST) -> list[Entry]:
        return await asyncio.to_thread(index.to_purge, self._store, stream, self._created[stream], most)

    async def _find(self, tree: index.Tree) -> Entry | None:
        found = await asyncio.to_thread(index.find, self._store, *tree)
        return found[1] if found and self._created.get(found[1].stream) == found[1].created else None

    async def _take_out(self, entry: Entry) -> int:
        count = await take_out(self._bus, entry)
        await asyncio.to_thread(index.purged, self._store, (entry.tenant, entry.tree))
        return count
