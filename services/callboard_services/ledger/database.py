"""Opening an SQLite database that is a projection: when it is damaged or of another format, it is made anew."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger()


def _nothing(_: sqlite3.Connection) -> None:
    return


def opened(
    path: Path, schema: str, version: int, *, anew: str, first: Callable[[sqlite3.Connection], None] = _nothing
) -> sqlite3.Connection:
    """Open a database, making it and its folder where there is none.

    :param schema: creates what is missing. :param version: raised when that changes.
    :param anew: what is logged when it is made anew.
    :param first: what is done once to a new one.
    :raises OSError: the folder cannot be written. :raises sqlite3.Error: nor can the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _connect(path, schema, version, first)
    except sqlite3.DatabaseError as error:
        log.warning(anew, path=str(path), reason=str(error))
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(path, schema, version, first)


def _connect(path: Path, schema: str, version: int, first: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, version):
            raise sqlite3.DatabaseError(f"its format is {found}, not {version}")
        # What the last transactions held is read from the journal again after a power cut.
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + schema)
        connection.execute(f"PRAGMA user_version = {version}")
        if not found:
            first(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
