"""In which checkpoint each actor's last record was signed: a fold of the checkpoints, in a database of its own.

It can be deleted at any time: the stream AUDIT holds everything.
"""

import sqlite3
import threading
from pathlib import Path

import structlog

from callboard_contracts.audit import Checkpoint

log = structlog.get_logger()

FILE = "audit.db"
_FORMAT = 1
_SCHEMA = f"""
PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS tails (actor TEXT PRIMARY KEY, seq INTEGER, link TEXT, at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY, created TEXT, seq INTEGER);
PRAGMA user_version = {_FORMAT};
"""


class Index:
    """The database. Its methods block: call them from a thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = _opened(path)

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


def _opened(path: Path) -> sqlite3.Connection:
    """Open the database; one that is damaged or of another format makes room for a new one."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        log.warning("reading the checkpoints anew", path=str(path), reason=str(error))
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, _FORMAT):
            raise sqlite3.DatabaseError(f"its format is {found}, not {_FORMAT}")
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
