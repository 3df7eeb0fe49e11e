"""The tables, in SQLite: one writer, one transaction per batch, and with it the position in the stream.

Because the position is committed with the rows, a record is folded exactly once however often it is read.
"""

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import structlog

from callboard_services.ledger.tables import CALL, CALL_KEY, FIRST, OF_KEY, RUN, RUN_KEY, TREE, TREE_KEY, Row, Rows

log = structlog.get_logger()

_FORMAT = 2
"""Raise it when the tables change: they are then built anew, from the archive and the journal."""


def _table(name: str, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    """Columns have no type of their own: SQLite keeps what a fold gave, an integer as an integer."""
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(key)})) WITHOUT ROWID;"


_SCHEMA = f"""
{_table("runs", RUN, RUN_KEY)}
{_table("calls", CALL, CALL_KEY)}
CREATE TABLE IF NOT EXISTS positions (stream TEXT PRIMARY KEY, created TEXT, seq INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_tree ON runs (tenant, tree);
CREATE INDEX IF NOT EXISTS calls_by_tree ON calls (tenant, tree, run);
CREATE INDEX IF NOT EXISTS runs_to_archive ON runs (closed_ms) WHERE closed_ms IS NOT NULL AND archived IS NULL;
CREATE INDEX IF NOT EXISTS retries_that_go_on ON runs (tenant, retry_of)
    WHERE retry_of IS NOT NULL AND ended_ms IS NULL;
{_table("trees", TREE, TREE_KEY)}
CREATE INDEX IF NOT EXISTS trees_by_seq ON trees (stream, created, last_seq);
CREATE INDEX IF NOT EXISTS trees_to_purge ON trees (stream, created) WHERE purged = 0;
CREATE TABLE IF NOT EXISTS files (file TEXT PRIMARY KEY, folded) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS costs AS SELECT *, CASE COALESCE(settled, told, taken, 0)
    WHEN -1 THEN COALESCE(reserved, 0) ELSE COALESCE(settled, told, taken, 0) END AS cost FROM calls;
PRAGMA user_version = {_FORMAT};
"""  # noqa: S608 - our own words


def _upsert(table: str, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    values = ", ".join("?" * len(columns))
    changes = ", ".join(_change(column) for column in columns if column not in key and column not in OF_KEY)
    return f"INSERT INTO {table} VALUES ({values}) ON CONFLICT DO UPDATE SET {changes}"  # noqa: S608 - our own names


def _change(column: str) -> str:
    older, newer = (f"excluded.{column}", column) if column in FIRST else (column, f"excluded.{column}")
    return f"{column} = COALESCE({newer}, {older})"


_UPSERT_RUN = _upsert("runs", RUN, RUN_KEY)
_UPSERT_CALL = _upsert("calls", CALL, CALL_KEY)
_MOVE = "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)"


class Store:
    """The ledger's database. Its methods block: call them from a thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._writer = _opened(path)
        self._reader = sqlite3.connect(path, check_same_thread=False)
        self._reader.row_factory = sqlite3.Row

    def close(self) -> None:
        """Close it."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

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
            for table in ("runs", "calls", "positions"):
                transaction.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            transaction.execute("UPDATE files SET folded = 0")
            # what was archived of the other journal is in its file; the sequences say nothing of this one
            transaction.execute("UPDATE trees SET purged = 1, last_seq = 0")
            return dict.fromkeys(streams, 0)

    def write(self, rows: Rows, stream: str, created: str, seq: int) -> None:
        """Commit what a batch changes, and the position after it.

        :raises sqlite3.Error: nothing of it was committed.
        """
        with self._writing, self._writer as transaction:
            _put(transaction, rows)
            transaction.execute(_MOVE, (stream, created, seq))

    def change(self, *changes: tuple[str, Iterable[Sequence[object] | Row]], rows: Rows | None = None) -> None:
        """Commit rows and statements, each for every one of its parameters, together.

        :raises sqlite3.Error: nothing of it was committed.
        """
        with self._writing, self._writer as transaction:
            _put(transaction, rows or Rows())
            for statement, parameters in changes:
                transaction.executemany(statement, parameters)

    def select(self, query: str, parameters: Iterable[object] = ()) -> list[Row]:
        """Return the rows of a query."""
        with self._reading:
            return [dict(row) for row in self._reader.execute(query, tuple(parameters))]


def _put(transaction: sqlite3.Connection, rows: Rows) -> None:
    if rows.runs:
        transaction.executemany(_UPSERT_RUN, [tuple(row.values()) for row in rows.runs.values()])
    if rows.calls:
        transaction.executemany(_UPSERT_CALL, [tuple(row.values()) for row in rows.calls.values()])


def _opened(path: Path) -> sqlite3.Connection:
    """Open the database; one that is damaged or of another format makes room for a new one."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        log.warning("building the tables anew", path=str(path), reason=str(error))
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, _FORMAT):
            raise sqlite3.DatabaseError(f"its format is {found}, not {_FORMAT}")
        # What the last transactions held is read from the journal again after a power cut.
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + _SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
