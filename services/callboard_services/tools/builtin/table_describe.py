"""`table.describe`: what tables a run has."""

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from callboard.tools import ToolContext, ToolError, tool
from callboard_services.tools.builtin._session import in_thread, tables_of
from callboard_services.tools.builtin._tables import Tables, quoted
from callboard_services.tools.builtin._values import plain

_SAMPLE_LETTERS = 200


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column."""

    name: str
    type: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table, with its first rows."""

    name: str
    rows: int
    columns: list[Column]
    sample: list[list[Any]]


@tool(name="table.describe", effect="read", timeout_s=60, tags=("tables",))
async def table_describe(
    context: ToolContext,
    table: Annotated[str, Meta(description="Only this table; all tables when empty")] = "",
    sample: Annotated[int, Meta(ge=0, le=20, description="How many rows of each to show")] = 3,
) -> list[Table]:
    """Describe the tables that table.query can ask: columns, types, row counts and the first rows of each."""
    async with tables_of(context) as tables:
        wanted = tuple(name for name in tables.names if not table or name == table.lower())
        if table and not wanted:
            raise ToolError(f"there is no table {table!r}; the tables are: {', '.join(tables.names) or 'none'}")
        return await in_thread(partial(_described, tables, wanted, sample))


def _described(tables: Tables, wanted: tuple[str, ...], sample: int) -> list[Table]:
    return [_table(tables, name, sample) for name in wanted]


def _table(tables: Tables, name: str, sample: int) -> Table:
    _, columns = tables.select(f"DESCRIBE {quoted(name)}", 1000)
    _, count = tables.select(f"SELECT count(*) FROM {quoted(name)}", 1)  # noqa: S608 - quoted
    _, rows = tables.select(f"SELECT * FROM {quoted(name)} LIMIT {sample}", sample)  # noqa: S608 - quoted
    return Table(
        name=name,
        rows=int(count[0][0]),
        columns=[Column(name=str(column[0]), type=str(column[1])) for column in columns],
        sample=[[_short(plain(value)) for value in row] for row in rows],
    )


def _short(value: Any) -> Any:
    return f"{value[:_SAMPLE_LETTERS]}…" if isinstance(value, str) and len(value) > _SAMPLE_LETTERS else value
