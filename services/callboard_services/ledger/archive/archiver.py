"""Takes trees that are over out of the journal, in three steps of which each can be repeated: file, index, purge.

Invariant: a message is purged only after it was read back from a file that has its name and is entered in the index.
What a crash leaves behind is a file that is not entered (it is at the next start) or a tree that is not purged (it is
at the next round); a file without its name is deleted, and its trees are still in the journal.
"""

import asyncio
import importlib.util
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import structlog

from callboard import crash
from callboard.bus import Bus, BusError, layout
from callboard.bus.streams import time_ms
from callboard.lock import Lock
from callboard_services.ledger.archive import index
from callboard_services.ledger.archive.message import Leaving
from callboard_services.ledger.archive.parquet import Entry, Writer
from callboard_services.ledger.archive.purger import Purger
from callboard_services.ledger.archive.tree import is_whole, messages
from callboard_services.ledger.store import Store

log = structlog.get_logger()

MOST_TREES = 1000
MOST_BYTES = 64 * 1024 * 1024
"""A file is closed when it has so many trees or bytes; a tree is never split."""
_ROUND_S = 60.0
_GATHER_S = 3600.0
"""How long due trees are gathered at most, so that a quiet system has few files."""


def available() -> bool:
    """Tell whether files can be written and read."""
    return importlib.util.find_spec("pyarrow") is not None


class Archiver:
    """Archives what closed longer ago than the retention. One process per folder does; others wait for its end."""

    def __init__(self, bus: Bus, store: Store, folder: Path, created: Mapping[str, str], *, retention_s: float) -> None:
        self._bus = bus
        self._store = store
        self._folder = folder
        self._created = created
        self._streams = list(created)
        self._retention_s = retention_s
        self._lock = Lock(folder / ".lock")  # readers of the folder skip what begins with a dot
        self._purger = Purger(bus, store, created)

    async def run(self) -> None:
        """Archive until cancelled. What fails is tried again at the next round."""
        pause_s = min(_ROUND_S, max(0.05, self._retention_s / 4))
        with self._lock:
            while True:
                try:
                    await self._round()
                except (BusError, sqlite3.Error, OSError, ValueError) as error:
                    log.warning("the archive waits", reason=str(error))
                await asyncio.sleep(pause_s)

    async def _round(self) -> None:
        now_ms = await self._now_ms()
        until_ms = now_ms - int(self._retention_s * 1000)
        gather_ms = int(min(_GATHER_S, self._retention_s / 4) * 1000)
        oldest = await asyncio.to_thread(index.due, self._store, until_ms, 1)
        pending = await self._purger.pending()
        if not (oldest or pending) or not self._lock.take():
            return
        await self._purger.run()
        if oldest and oldest[0][2] <= until_ms - gather_ms:
            while await self._file(until_ms):
                pass
            await self._purger.run()

    async def _now_ms(self) -> int:
        """Return the broker's time, by which records are stamped."""
        return await time_ms(self._bus, self._streams[0])

    async def _file(self, until_ms: int) -> bool:
        """Write one file of what is due and enter it. False when nothing could be."""
        due = await asyncio.to_thread(index.due, self._store, until_ms, MOST_TREES)
        whole = await self._whole([(tenant, tree) for tenant, tree, _ in due])
        if not whole:
            return False
        writer = await asyncio.to_thread(Writer, self._folder)
        try:
            entries = await self._write(writer, whole)
            if entries:
                await self._commit(writer, entries)
        finally:
            await asyncio.shield(asyncio.to_thread(writer.discard))
        return bool(entries)

    async def _whole(self, due: list[index.Tree]) -> list[index.Tree]:
        """Return the trees that are all there, and never look at the others again."""
        found = {tree: await is_whole(self._bus, self._stream(tree[1]), *tree) for tree in due}
        if parts := [tree for tree, whole in found.items() if not whole]:
            log.info("not archived: another ledger was first", trees=len(parts), one=parts[0][1])
            await asyncio.to_thread(index.leave, self._store, parts)
        return [tree for tree, whole in found.items() if whole]

    async def _write(self, writer: Writer, due: list[index.Tree]) -> list[Entry]:
        found: list[Entry] = []
        for tenant, tree in due:
            entry = await self._add(writer, self._stream(tree), tenant, tree)
            if entry is not None:
                found.append(entry)
            if writer.bytes >= MOST_BYTES:
                break
        return found

    async def _add(self, writer: Writer, stream: str, tenant: str, tree: str) -> Entry | None:
        """Write a tree. None: a run of it goes on after all; then no entry names its rows, and they do not count."""
        row, leaving = writer.rows, Leaving()
        async for message in messages(self._bus, stream, tenant, tree):
            leaving.see(message)
            writer.add(message)
            if writer.full:
                await asyncio.to_thread(writer.write)
        if not leaving.is_over:
            return None
        return Entry(
            tenant=tenant,
            tree=tree,
            stream=stream,
            created=self._created[stream],
            row=row,
            rows=writer.rows - row,
            last_seq=leaving.last_seq,
            purges=leaving.purges(),
        )

    async def _commit(self, writer: Writer, entries: list[Entry]) -> None:
        crash.point("ledger.before_archive_file")
        path = await asyncio.to_thread(writer.finish, entries)
        crash.point("ledger.after_archive_file")
        await asyncio.to_thread(lambda: index.commit(self._store, path.name, entries, folded=True))
        log.info("archived", file=path.name, trees=len(entries), messages=writer.rows, bytes=path.stat().st_size)

    def _stream(self, tree: str) -> str:
        return layout.journal_of(tree, len(self._streams))
