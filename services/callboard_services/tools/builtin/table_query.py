"""`table.query`: SQL over the run's tables."""

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from callboard.tools import ToolContext, tool
from callboard_services.tools.builtin._session import in_thread, tables_of
from callboard_services.tools.builtin._tables import Tables
from callboard_services.tools.builtin._values import plain

MAX_RESULT_BYTES = 256 * 1024


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What a query found. `truncated` when there is more than these rows."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool = False


@tool(name="table.query", effect="read", timeout_s=60, tags=("tables", "sql"))
async def table_query(
    context: ToolContext,
    sql: Annotated[str, Meta(min_length=1, max_length=20_000, description="One SELECT statement in DuckDB's SQL")],
    max_rows: Annotated[int, Meta(ge=1, le=1000, description="The most rows to return")] = 200,
) -> Rows:
    """Run one SQL SELECT over the CSV and Parquet files of this run. Let SQL count, sum, sort and filter.

    Each file is a table named by its file name without the suffix: sales.csv is the table sales.
    """
    async with tables_of(context) as tables:
        return await in_thread(partial(query, tables, sql, max_rows))


def query(tables: Tables, sql: str, max_rows: int) -> Rows:
    """Return at most `max_rows` rows, and at most 256 KiB of them.

    :raises ToolError: the statement does not read, or cannot be run.
    """
    columns, found = tables.select(sql, max_rows + 1)
    rows: list[list[Any]] = []
    size = 0
    for row in found[:max_rows]:
        values = [plain(value) for value in row]
        size += len(msgspec.json.encode(values))
        if size > MAX_RESULT_BYTES:
            break
        rows.append(values)
    return Rows(columns=list(columns), rows=rows, truncated=len(rows) < len(found))
