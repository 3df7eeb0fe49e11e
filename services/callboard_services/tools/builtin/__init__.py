"""The built-in tools: files, tables and arithmetic. None of them reaches outside the run's own files."""

from callboard.tools import Tool
from callboard_services.tools.builtin.calc import calc
from callboard_services.tools.builtin.files_list import files_list
from callboard_services.tools.builtin.files_read import files_read
from callboard_services.tools.builtin.files_write import files_write
from callboard_services.tools.builtin.table_describe import table_describe
from callboard_services.tools.builtin.table_lookup import table_lookup
from callboard_services.tools.builtin.table_query import table_query
from callboard_services.tools.builtin.table_rank import table_rank

TOOLS: tuple[Tool, ...] = (
    calc,
    files_list,
    files_read,
    files_write,
    table_describe,
    table_lookup,
    table_query,
    table_rank,
)

__all__ = [
    "TOOLS",
    "calc",
    "files_list",
    "files_read",
    "files_write",
    "table_describe",
    "table_lookup",
    "table_query",
    "table_rank",
]
