"""The tables, in SQLite: one writer, one transaction per batch, and with it the position in the stream.

Because the position is committed with the rows, a record is folded exactly once however often it is delivered.
"""

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import structlog

from callboard_services.ledger.tables import CALL, FIRST, RUN, Row, Rows

log = structlog.get_logger()

_FORMAT = 1
"""Raise it when the tables change: they are then built anew from the journal."""


def _table(name: str, columns: tuple[str, ...]) -> str:
    """Columns have no type of their own: SQLite keeps what a fold gave, an integer as an integer."""
    return f"CREATE TABLE IF NOT EXISTS {name} ({columns[0]} TEXT PRIMARY KEY, {', '.join(columns[1:])}) WITHOUT ROWID;"


_SCHEMA = f"""
{_table("runs", RUN)}
{_table("calls", CALL)}
CREATE TABLE IF NOT EXISTS positions (stream TEXT PRIMARY KEY, created TEXT, seq INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_tree ON runs (tree);
CREATE INDEX IF NOT EXISTS calls_by_tree ON calls (tree, run);
CREATE VIEW IF NOT EXISTS costs AS SELECT *, CASE COALESCE(settled, told, taken, 0)
    WHEN -1 THEN COALESCE(reserved, 0) ELSE COALESCE(settled, told, taken, 0) END AS cost FROM calls;
PRAGMA user_version = {_FORMAT};
"""  # noqa: S608 - our own words


def _upsert(table: str, columns: tuple[str, ...]) -> str:
    values = ", ".join(f":{column}" for column in columns)
    changes = ", ".join(map(_change, columns[1:]))
    return f"INSERT INTO {table} VALUES ({values}) ON CONFLICT DO UPDATE SET {changes}"  # noqa: S608 - our own names


def _change(column: str) -> str:
    older, newer = (f"excluded.{column}", column) if column in FIRST else (column, f"excluded.{column}")
    return f"{column} = COALESCE({newer}, {older})"


_UPSERT_RUN = _upsert("runs", RUN)
_UPSERT_CALL = _upsert("calls", CALL)
_MOVE = (
    "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET created = excluded.created, seq = excluded.seq"
)


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

    def positions(self, created: dict[str, str]) -> dict[str, int]:
        """Return how far each stream is folded, given when each was made. Streams of another time are forgotten."""
        with self._writing, self._writer as transaction:
            found = {name: (made, seq) for name, made, seq in transaction.execute("SELECT * FROM positions")}
            if all(created.get(name) == made for name, (made, _) in found.items()):
                return {name: int(found.get(name, ("", 0))[1]) for name in created}
            log.warning("the streams are not those that were folded: building the tables anew")
            for table in ("runs", "calls", "positions"):
                transaction.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            return dict.fromkeys(created, 0)

    def write(self, rows: Rows, stream: str, created: str, seq: int) -> None:
        """Commit what a batch changes, and the position after it.

        :raises sqlite3.Error: nothing of it was committed.
        """
        with self._writing, self._writer as transaction:
            if rows.runs:
                transaction.executemany(_UPSERT_RUN, rows.runs.values())
            if rows.calls:
                transaction.executemany(_UPSERT_CALL, rows.calls.values())
            transaction.execute(_MOVE, (stream, created, seq))

    def select(self, query: str, parameters: Iterable[object] = ()) -> list[Row]:
        """Return the rows of a query."""
        with self._reading:
            return [dict(row) for row in self._reader.execute(query, tuple(parameters))]


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
