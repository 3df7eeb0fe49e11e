"""`table.rank`: the row with the highest or lowest value of a column, without SQL."""

from functools import partial
from typing import Annotated, Literal

from msgspec import Meta

from callboard.tools import ToolContext, ToolError, tool
from callboard_services.tools.builtin._session import in_thread, tables_of
from callboard_services.tools.builtin._tables import Tables, quoted
from callboard_services.tools.builtin.table_lookup import Found, columns, select

Order = Literal["highest", "lowest"]


@tool(name="table.rank", effect="read", timeout_s=60, tags=("tables",))
async def table_rank(
    context: ToolContext,
    table: Annotated[str, Meta(description="A table as table.describe names it")],
    column: Annotated[str, Meta(min_length=1, max_length=200, description="The column to rank by")],
    order: Annotated[Order, Meta(description="Which end of the column")],
) -> Found:
    """Find which row has the most or fewest, highest or lowest, largest or smallest, longest or shortest value."""
    async with tables_of(context) as tables:
        return await in_thread(partial(first_ranked, tables, table, column, order))


def first_ranked(tables: Tables, table: str, column: str, order: Order) -> Found:
    """Return the rows that share a column's highest or lowest value; rows without a value do not count.

    :raises ToolError: there is no such table or column, or the column is empty.
    """
    names = columns(tables, table)
    name = next((one for one in names if one.lower() == column.strip().lower()), None)
    if name is None:
        raise ToolError(f"{table} has no column {column!r}; its columns are: {', '.join(names)}")
    best = f"SELECT {'max' if order == 'highest' else 'min'}({quoted(name)}) FROM {quoted(table.lower())}"  # noqa: S608 - quoted
    found = select(tables, f"SELECT * FROM {quoted(table.lower())} WHERE {quoted(name)} = ({best})")  # noqa: S608 - quoted
    if not found:
        raise ToolError(f"the column {name} of {table} is empty")
    return Found(rows=found)
