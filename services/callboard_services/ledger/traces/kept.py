"""What an exporter knows between two starts: positions, the trees that go on, and what was counted, committed together.

It lies apart from the ledger's tables: who deletes those and has them built anew sends no trace twice.
"""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from callboard.lock import Lock
from callboard.traces import Span, Tree
from callboard.traces.metrics import Metrics
from callboard_services.ledger import database

FILE = "position.db"
LOCK = ".lock"
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (stream TEXT PRIMARY KEY, created TEXT, seq INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trees (tenant, tree, stream, state, PRIMARY KEY (tenant, tree)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metrics (one INTEGER PRIMARY KEY, state);
"""
_SAVE = "INSERT OR REPLACE INTO trees VALUES (?, ?, ?, ?)"
_FORGET = "DELETE FROM trees WHERE tenant = ? AND tree = ?"
_MOVE = "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)"


class Kept:
    """The database. Its methods block: call them from a thread."""

    def __init__(self, path: Path, now_ms: int) -> None:
        self._lock = threading.Lock()
        self._database = database.opened(
            path, _SCHEMA, _FORMAT, anew="traces begin anew, with the trees that begin from now on"
        )
        self._metrics = self._counted() or Metrics(now_ms)

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._database.close()

    def begin(self, stream: str, created: str, last: int) -> int:
        """Return how far a journal was read. One that was never read, or is another one now, is read from its end."""
        with self._lock, self._database as transaction:
            row = transaction.execute("SELECT created, seq FROM positions WHERE stream = ?", (stream,)).fetchone()
            if row is not None and row[0] == created and row[1] <= last:
                return int(row[1])
            transaction.execute("DELETE FROM trees WHERE stream = ?", (stream,))
            transaction.execute(_MOVE, (stream, created, last))
            return last

    def tree(self, tenant: str, tree: str) -> Tree | None:
        """Return a tree that goes on, None when it is not known."""
        query = "SELECT state FROM trees WHERE tenant = ? AND tree = ?"
        with self._lock:
            row = self._database.execute(query, (tenant, tree)).fetchone()
        return msgspec.json.decode(row[0], type=Tree) if row is not None else None

    def commit(self, stream: str, created: str, seq: int, trees: Iterable[Tree], spans: Iterable[Span]) -> None:
        """Store a position, and with it the trees that moved, less those that are done, and what the spans add up to.

        :raises sqlite3.Error: nothing of it was stored.
        """
        moved = tuple(trees)
        gone = [(one.tenant, one.tree) for one in moved if one.done]
        kept = [(one.tenant, one.tree, stream, msgspec.json.encode(one)) for one in moved if not one.done]
        with self._lock:
            counted = self._copy()
            counted.take(spans)
            with self._database as transaction:
                transaction.executemany(_SAVE, kept)
                transaction.executemany(_FORGET, gone)
                transaction.execute("INSERT OR REPLACE INTO metrics VALUES (1, ?)", (msgspec.json.encode(counted),))
                transaction.execute(_MOVE, (stream, created, seq))
            self._metrics = counted

    def metrics(self) -> Metrics:
        """Return a copy of what was counted."""
        with self._lock:
            return self._copy()

    def open_trees(self) -> int:
        """Return how many trees go on."""
        with self._lock:
            return int(self._database.execute("SELECT COUNT(*) FROM trees").fetchone()[0])

    def _copy(self) -> Metrics:
        return msgspec.json.decode(msgspec.json.encode(self._metrics), type=Metrics)

    def _counted(self) -> Metrics | None:
        row = self._database.execute("SELECT state FROM metrics").fetchone()
        return msgspec.json.decode(row[0], type=Metrics) if row is not None else None


def mark(folder: Path, journals: Mapping[str, tuple[str, int]], now_ms: int) -> None:
    """Note where journals end that were never read, each given when it was made and its last sequence.

    Who has not begun to read yet then misses nothing that begins from now on.

    :raises OSError: the folder cannot be written. :raises sqlite3.Error: nor can the file.
    """
    with Lock(folder / LOCK) as lock:
        if not lock.take():
            return  # another process reads them
        kept = Kept(folder / FILE, now_ms)
        for stream, (created, last) in journals.items():
            kept.begin(stream, created, last)
        kept.close()
