"""Rows into tables: what a row says takes the place of what was there, and what it does not say stays.

A statement names only the columns that its rows say something of, so that an index over the others is not touched:
most records change a call's row four times, and none of the indexes by which runs are found.
"""

import sqlite3
from collections.abc import Iterable
from functools import lru_cache

from callboard_services.ledger.tables import CALL_KEY, FIRST, OF_KEY, RUN_KEY, Row, Rows

_KEYS = {"runs": RUN_KEY, "calls": CALL_KEY}
_TAG = "INSERT OR IGNORE INTO tags VALUES (?, ?, ?, ?)"
_PRICE = """INSERT INTO prices VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET since_ms = MIN(since_ms, excluded.since_ms)"""


def put(transaction: sqlite3.Connection, rows: Rows) -> None:
    """Write the rows of a batch."""
    _put(transaction, "runs", rows.runs.values())
    _put(transaction, "calls", rows.calls.values())
    transaction.executemany(_TAG, rows.tags)
    transaction.executemany(_PRICE, [(*price, at_ms) for price, at_ms in rows.prices.items()])
    for statement, parameters in rows.statements:
        transaction.execute(statement, parameters)


def _put(transaction: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    shapes: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for row in rows:
        said = row if None not in row.values() else {name: value for name, value in row.items() if value is not None}
        shapes.setdefault(tuple(said), []).append(tuple(said.values()))
    for shape, values in shapes.items():
        transaction.executemany(_statement(table, shape), values)


@lru_cache(maxsize=512)
def _statement(table: str, columns: tuple[str, ...]) -> str:
    given = ", ".join("?" * len(columns))
    changes = ", ".join(_change(column) for column in columns if column not in _KEYS[table] and column not in OF_KEY)
    conflict = f"UPDATE SET {changes}" if changes else "NOTHING"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({given}) ON CONFLICT DO {conflict}"  # noqa: S608 - our own names


def _change(column: str) -> str:
    return f"{column} = COALESCE({column}, excluded.{column})" if column in FIRST else f"{column} = excluded.{column}"
