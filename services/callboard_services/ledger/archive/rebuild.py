"""What the database knows of the archive, from the files alone: which trees they hold, and what those were like."""

import asyncio
import sqlite3
from functools import partial
from pathlib import Path

import structlog

from callboard_contracts import subjects, wire
from callboard_contracts.journal import Record
from callboard_services.ledger.archive import index, reading
from callboard_services.ledger.archive.message import Message
from callboard_services.ledger.fold import fold
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import At, Rows

log = structlog.get_logger()


def enter_all(store: Store, folder: Path) -> None:
    """Enter every file that the index does not know, and delete those that never got their name.

    Blocks; a file costs a look at its end.
    """
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)
    known = index.known(store)
    for path in reading.files(folder):
        if path.name in known:
            continue
        try:
            index.commit(store, path.name, reading.trees(path), folded=False)
        except (OSError, ValueError) as error:
            log.warning("archive file cannot be used", file=str(path), reason=str(error))


class Rebuild:
    """Folds files whose trees the tables do not hold, in the background."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.folder = folder
        self._store = store
        self._left: list[str] = []

    @property
    def done(self) -> bool:
        """Whether the tables hold everything that they will."""
        return not self._left

    def look(self) -> None:
        """Find out what is to be folded. Blocks."""
        self._left = index.unfolded(self._store)

    async def run(self) -> None:
        """Fold what is to be folded. A file that cannot be read is left for the next start."""
        for name in list(self._left):
            try:
                await self._fold(self.folder / name)
            except (OSError, ValueError, ImportError, sqlite3.Error) as error:
                log.warning("archive file not folded", file=name, reason=str(error))
            else:
                log.info("archive file folded", file=name)
            self._left.remove(name)

    async def _fold(self, path: Path) -> None:
        ours = {(entry.tenant, entry.tree) for entry in await asyncio.to_thread(reading.trees, path)}
        groups = reading.everything(path)
        while (messages := await asyncio.to_thread(next, groups, None)) is not None:
            rows = await asyncio.to_thread(_folded, messages, ours)
            await asyncio.to_thread(partial(self._store.change, rows=rows))
        done = ("UPDATE files SET folded = 1 WHERE file = ?", [(path.name,)])
        await asyncio.to_thread(self._store.change, done)


def _folded(messages: list[Message], ours: set[index.Tree]) -> Rows:
    rows = Rows()
    for message in messages:
        _, tenant, _, _, tree, _, lane, _ = message.tokens
        if lane == "log" and (tenant, tree) in ours:
            _fold_one(rows, message)
    for row in rows.runs.values():
        row["archived"] = 1
    rows.spent.clear()  # long ago, and a file may be folded twice
    return rows


def _fold_one(rows: Rows, message: Message) -> None:
    try:
        where = subjects.Subject.parse(message.subject).address
        fold(rows, At(where.tenant, where.run, message.seq, message.time_ms), wire.decode(message.body, Record))
    except ValueError as error:  # it is among the dead letters since it was stored
        log.debug("record not readable", seq=message.seq, reason=str(error))
