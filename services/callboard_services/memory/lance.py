"""LanceDB as this service opens it: late, quietly, with bounded caches; and a folder with nobody else's files."""

import asyncio
import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any, Final

from callboard_contracts import names

FAILURES: Final = (RuntimeError, OSError, ValueError)
"""What LanceDB raises."""
POSITION: Final = "position"
MARK: Final = "folder-of-callboard"
"""A file that tells that the folder is still the one that was opened: LanceDB makes a new one without a word."""
_TABLE: Final = ".lance"
_INDEX_BYTES = 256 * 1024 * 1024
_METADATA_BYTES = 64 * 1024 * 1024


async def connected(uri: str) -> Any:
    """Return the database in a folder or under a URI."""
    lancedb = await asyncio.to_thread(_library)
    return await lancedb.connect_async(uri, session=_session(lancedb))


@cache
def _session(lancedb: Any) -> Any:
    """Return the caches that all tables of the process share."""
    return lancedb.Session(index_cache_size_bytes=_INDEX_BYTES, metadata_cache_size_bytes=_METADATA_BYTES)


def _library() -> Any:
    """Import LanceDB, which takes seconds: not before it is needed, and not in the loop's own thread."""
    os.environ.setdefault("LANCEDB_LOG", "error")
    os.environ.setdefault("LANCE_LOG", "error")
    import lancedb

    return lancedb


def emptied(folder: Path) -> None:
    """Take every table out of a folder, and nothing else that somebody keeps there; then mark it.

    :raises OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).unlink(missing_ok=True)
    for found in folder.iterdir():
        if found.name == POSITION + _TABLE or _is_tenants(found):
            shutil.rmtree(found)
    (folder / MARK).touch()


def _is_tenants(found: Path) -> bool:
    return names.is_tenant(found.name) and found.is_dir() and all(one.suffix == _TABLE for one in found.iterdir())
