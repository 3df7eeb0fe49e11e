"""The tables, in SQLite: one writer, one transaction per batch, and with it the position in the stream.

Because the position is committed with the rows, a record is folded exactly once however often it is read.
"""

import sqlite3
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic

import structlog

from callboard_services.ledger import sealing, spending, upsert
from callboard_services.ledger.opening import opened
from callboard_services.ledger.schema import FOLDED
from callboard_services.ledger.tables import Row, Rows

log = structlog.get_logger()

_MOVE = "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)"
_STEPS = 20_000
"""After so many steps of SQLite's machine, some milliseconds, a query that takes too long notices."""
_MOST_KNOWN = 20_000
_CACHE_KIB = 16 * 1024


class Store:
    """The ledger's database. Its methods block: call them from a thread.

    :param scopes: of which it is kept how fast they spend.
    """

    def __init__(self, path: Path, scopes: Collection[spending.Scope] = ()) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._adding = threading.Lock()
        self._path = path
        self._writer = opened(path)
        found = path.stat()
        self._file = (found.st_dev, found.st_ino)
        self._reader = _reader(path)
        self._adder = _reader(path)
        self._unsealed: set[sealing.Tree] = set()
        """Trees that are known to be in `unsealed`, which spares looking."""
        self._spent: set[spending.Moment] = set()
        self._spending = spending.Spending(scopes)
        sealing.prepare(self._writer)

    def close(self) -> None:
        """Close it."""
        with self._writing, self._reading, self._adding:
            self._adder.close()
            self._reader.close()
            self._writer.close()

    def is_there(self) -> bool:
        """Tell whether the file of its name is still the one that is open."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def positions(self, streams: Mapping[str, tuple[str, int]]) -> dict[str, int]:
        """Return how far each stream is folded, given when each was made and its last sequence.

        When one was made anew, or ends before what was folded, as a restored one does, all tables are built anew.
        """
        with self._writing, self._writer as transaction:
            found = {name: (made, seq) for name, made, seq in transaction.execute("SELECT * FROM positions")}
            now = {name: streams.get(name, ("", 0)) for name in found}
            others = [name for name, (made, seq) in found.items() if now[name][0] != made or now[name][1] < seq]
            if not others:
                return {name: found[name][1] if name in found else 0 for name in streams}
            log.error("the journal is not the one that was folded: building the tables anew", streams=others)
            self._unsealed.clear()
            self._spending.forget()
            for table in (*FOLDED, "positions"):
                transaction.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            transaction.execute("UPDATE files SET folded = 0")
            # what was archived of the other journal is in its file; the sequences say nothing of this one
            transaction.execute("UPDATE trees SET purged = 1, last_seq = 0")
            return dict.fromkeys(streams, 0)

    def write(self, rows: Rows, stream: str, created: str, seq: int) -> None:
        """Commit what a batch changes, and the position after it.

        :raises sqlite3.Error: nothing of it was committed.
        """
        self.change((_MOVE, [(stream, created, seq)]), rows=rows)

    def change(self, *changes: tuple[str, Iterable[Sequence[object] | Row]], rows: Rows | None = None) -> None:
        """Commit rows and statements, each for every one of its parameters, together.

        :raises sqlite3.Error: nothing of it was committed.
        """
        given = rows or Rows()
        with self._writing:
            with self._writer as transaction:
                sealing.touched(transaction, given.trees - self._unsealed)
                upsert.put(transaction, given)
                spent = self._spending.put(transaction, given.spent)
                for statement, parameters in changes:
                    transaction.executemany(statement, parameters)
            self._spent |= spent
            if len(self._unsealed) > _MOST_KNOWN:
                self._unsealed.clear()
            self._unsealed |= given.trees

    def seal(self, most: int) -> int:
        """Seal some trees that are over, and return how many.

        :raises sqlite3.Error: none was.
        """
        with self._writing, self._writer as transaction:
            trees = sealing.due(transaction, most)
            if trees:
                sealing.seal(transaction, trees)
                self._unsealed.difference_update(trees)
            return len(trees)

    def spent(self) -> set[spending.Moment]:
        """Return where something was spent since this was asked last."""
        with self._writing:
            found, self._spent = self._spent, set()
        return found

    def select(self, query: str, parameters: Sequence[object] | Row = ()) -> list[Row]:
        """Return the rows of a query."""
        with self._reading:
            return [dict(row) for row in self._reader.execute(query, parameters)]

    def add_up(self, query: str, parameters: Row, until: float) -> list[Row]:
        """Return the rows of a query that may take long, beside all others.

        :param until: on the monotonic clock. :raises sqlite3.OperationalError: `interrupted`, it took longer.
        """
        with self._adding:
            self._adder.set_progress_handler(lambda: monotonic() > until, _STEPS)
            return [dict(row) for row in self._adder.execute(query, parameters)]


def _reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection
