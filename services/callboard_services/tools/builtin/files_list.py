"""`files.list`: what a run can read."""

from typing import Annotated

import msgspec
from msgspec import Meta

from callboard.tools import Seen, ToolContext, tool

MOST = 500


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The files, by path; `truncated` when there are more."""

    files: list[Seen]
    truncated: bool = False


@tool(name="files.list", effect="read", timeout_s=30, tags=("files",))
async def files_list(
    context: ToolContext, prefix: Annotated[str, Meta(description="Only paths that start with this")] = ""
) -> Listing:
    """List the files of this run: those that it was given, those that were written, and those of its skill."""
    found = await context.files.list(prefix)
    return Listing(files=found[:MOST], truncated=len(found) > MOST)
