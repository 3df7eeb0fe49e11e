"""Fetching a run's tables for one call, and asking them in a thread that can be interrupted."""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

import anyio.to_thread

from callboard.tools import Seen, ToolContext, ToolError
from callboard_services.tools.builtin._tables import MAX_BYTES, MAX_FILES, MAX_QUERY_S, SUFFIXES, Tables, table_names

T = TypeVar("T")


@asynccontextmanager
async def tables_of(context: ToolContext) -> AsyncIterator[Tables]:
    """Give the run's tables; a query that still runs when the block is left is interrupted.

    :raises ToolError: there are too many, or one cannot be read.
    """
    files = [file for file in await context.files.list() if file.path.lower().endswith(SUFFIXES)]
    _check(files)
    with tempfile.TemporaryDirectory(prefix="callboard-") as folder:
        views = await _fetch(context, files, folder)
        limit_s = max(0.1, min(MAX_QUERY_S, context.remaining_s() - 0.5))
        tables = await in_thread(partial(Tables, folder, views, limit_s))
        try:
            yield tables
        finally:
            tables.interrupt()


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread; left to itself when the call is cancelled."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


def _check(files: list[Seen]) -> None:
    total = sum(file.bytes for file in files)
    if len(files) > MAX_FILES or total > MAX_BYTES:
        raise ToolError(
            f"the run's tables are {len(files)} files of {total:,} bytes; at most {MAX_FILES} files of "
            f"{MAX_BYTES:,} bytes together can be queried"
        )


async def _fetch(context: ToolContext, files: list[Seen], folder: str) -> dict[str, Path]:
    """Write each file under a name of our own making: a path of the run never becomes one of this machine."""
    names = table_names([file.path for file in files])
    views: dict[str, Path] = {}
    for number, file in enumerate(files):
        target = Path(folder, f"{number}{PurePosixPath(file.path).suffix.lower()}")
        target.write_bytes(await context.files.read(file.path))  # noqa: ASYNC240 - a few MB into a page cache
        views[names[file.path]] = target
    return views
