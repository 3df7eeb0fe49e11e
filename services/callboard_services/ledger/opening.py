"""Opening the database, which can be damaged or of another version, and telling SQLite what to expect."""

import sqlite3
from pathlib import Path

from callboard_services.ledger import database
from callboard_services.ledger.schema import FORMAT, SCHEMA

_SIZES = {
    "runs": "1000000 1000000 1",
    "runs_by_tree": "1000000 1000000 2 1",
    "runs_by_time": "1000000 1000000 1 1",
    "runs_by_cost": "1000000 1000000 10 1",
    "roots_by_time": "900000 900000 1 1",
    "roots_by_status": "900000 900000 200000 1 1",
    "roots_by_skill": "900000 900000 20000 1 1",
    "roots_by_user": "900000 900000 1000 1 1",
    "roots_by_cost": "900000 900000 10 1",
    "calls": "5000000 5000000 1",
    "calls_by_tree": "5000000 5000000 5 4 1",
    "calls_by_time": "5000000 5000000 5 1",
    "tags": "2000000 2000000 50000 1 1",
    "unsealed": "1000 1000 1",
    "by_work": "100000 100000 1000 200 20 20 4 1",
    "by_person": "100000 100000 1000 200 4 1 1",
    "by_both": "200000 200000 2000 400 8 4 1",
}
"""What SQLite is told of its tables instead of measuring them: rows, and how many share the first columns of an index.

So its plans are those for a long history from the beginning, and never change behind anybody's back.
"""


def opened(path: Path) -> sqlite3.Connection:
    """Open the database; one that is damaged or of another format makes room for a new one."""
    return database.opened(path, SCHEMA, FORMAT, anew="building the tables anew", first=_tell_sizes)


def _tell_sizes(connection: sqlite3.Connection) -> None:
    connection.execute("ANALYZE")
    connection.execute("DELETE FROM sqlite_stat1")
    tables = dict(connection.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type IN ('index', 'table')"))
    rows = [(tables[name], name, numbers) for name, numbers in _SIZES.items()]
    connection.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", rows)
    connection.execute("ANALYZE sqlite_schema")
    connection.commit()
