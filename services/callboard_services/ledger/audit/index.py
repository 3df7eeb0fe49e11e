"""In which checkpoint each actor's last record was signed: a fold of the checkpoints, in a database of its own.

It can be deleted at any time: the stream AUDIT holds everything.
"""

import threading
from pathlib import Path

from callboard_contracts.audit import Checkpoint
from callboard_services.ledger import database

FILE = "audit.db"
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tails (actor TEXT PRIMARY KEY, seq INTEGER, link TEXT, at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY, created TEXT, seq INTEGER);
"""


class Index:
    """The database. Its methods block: call them from a thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = database.opened(path, _SCHEMA, _FORMAT, anew="reading the checkpoints anew")

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._database.close()

    def position(self, created: str) -> int:
        """Return up to which sequence of AUDIT all checkpoints are entered. Of a stream made anew: none is."""
        with self._lock, self._database as transaction:
            row = transaction.execute("SELECT created, seq FROM position").fetchone()
            if row is not None and row[0] == created:
                return int(row[1])
            transaction.execute("DELETE FROM tails")
            transaction.execute("INSERT OR REPLACE INTO position VALUES (1, ?, 0)", (created,))
            return 0

    def enter(self, seq: int, checkpoint: Checkpoint) -> None:
        """Enter a checkpoint, once; they come in the order of AUDIT."""
        with self._lock, self._database as transaction:
            rows = [(*tail, seq) for tail in checkpoint.tails]
            transaction.executemany("INSERT OR REPLACE INTO tails VALUES (?, ?, ?, ?)", rows)
            transaction.execute("UPDATE position SET seq = max(seq, ?)", (seq,))

    def of_tree(self, tenant: str, tree: str) -> list[tuple[str, int, str, int]]:
        """Return every actor of a tree, in the order of their names: sequence, digest, and where in AUDIT."""
        found: list[tuple[str, int, str, int]] = []
        with self._lock:
            for actor in ("approval", "run", "tree"):
                first = f"{tenant}.{actor}.{tree}"
                query = "SELECT * FROM tails WHERE actor >= ? AND actor < ? ORDER BY actor"
                found += self._database.execute(query, (first, f"{first}~")).fetchall()
        return found
