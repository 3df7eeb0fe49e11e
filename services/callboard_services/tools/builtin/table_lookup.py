"""`table.lookup`: the row of one name, without SQL."""

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from callboard.tools import ToolContext, ToolError, tool
from callboard_services.tools.builtin._session import in_thread, tables_of
from callboard_services.tools.builtin._tables import Tables, quoted
from callboard_services.tools.builtin._values import plain

MOST_ROWS = 20


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, each as its columns with their values."""

    rows: list[dict[str, Any]]


@tool(name="table.lookup", effect="read", timeout_s=60, tags=("tables",))
async def table_lookup(
    context: ToolContext,
    table: Annotated[str, Meta(description="A table as table.describe names it")],
    row: Annotated[str, Meta(min_length=1, max_length=200, description="The name in the table's first column")],
) -> Found:
    """Look up a row of a table by its name and return all its columns."""
    async with tables_of(context) as tables:
        return await in_thread(partial(looked_up, tables, table, row))


def looked_up(tables: Tables, table: str, row: str) -> Found:
    """Return the rows whose first column holds a name, letter case aside.

    :raises ToolError: there is no such table, or no such row.
    """
    names = columns(tables, table)
    where = f"lower(trim(CAST({quoted(names[0])} AS VARCHAR))) = lower(trim({literal(row)}))"
    found = select(tables, f"SELECT * FROM {quoted(table.lower())} WHERE {where}")  # noqa: S608 - quoted
    if not found:
        raise ToolError(f"no row of {table} has {row!r} in its first column, {names[0]}")
    return Found(rows=found)


def columns(tables: Tables, table: str) -> list[str]:
    """Return the columns of a table.

    :raises ToolError: there is no such table.
    """
    if table.lower() not in tables.names:
        raise ToolError(f"there is no table {table!r}; the tables are: {', '.join(tables.names) or 'none'}")
    _, found = tables.select(f"DESCRIBE {quoted(table.lower())}", 1000)
    return [str(column[0]) for column in found]


def select(tables: Tables, sql: str) -> list[dict[str, Any]]:
    """Return the first rows of a query as objects."""
    names, rows = tables.select(sql, MOST_ROWS)
    return [dict(zip(names, map(plain, row), strict=True)) for row in rows]


def literal(text: str) -> str:
    """Return a text as SQL quotes it."""
    return "'" + text.replace("'", "''") + "'"
