"""`files.read`: a piece of a text file."""

from typing import Annotated

import msgspec
from msgspec import Meta

from callboard.tools import ToolContext, ToolError, tool
from callboard_contracts.errors import CallboardError

_TABLES = (".parquet", ".csv", ".tsv")


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a text. `size` counts the characters of the whole; `truncated` when more follow this piece."""

    path: str
    text: str
    offset: int
    size: int
    truncated: bool


@tool(name="files.read", effect="read", timeout_s=60, tags=("files",))
async def files_read(
    context: ToolContext,
    path: Annotated[str, Meta(description="A path as files.list shows it")],
    offset: Annotated[int, Meta(ge=0, description="The character to start from")] = 0,
    limit: Annotated[int, Meta(ge=1, le=100_000, description="How many characters to read")] = 16_000,
) -> Text:
    """Read a text file of this run. For tables (CSV, Parquet) prefer table.query, which reads all rows."""
    text = decode(path, await _content(context, path))
    piece = text[offset : offset + limit]
    return Text(path=path, text=piece, offset=offset, size=len(text), truncated=offset + len(piece) < len(text))


async def _content(context: ToolContext, path: str) -> bytes:
    try:
        return await context.files.read(path)
    except CallboardError as error:
        if error.code != "not_found":
            raise ToolError(error.detail) from None
    there = ", ".join(file.path for file in (await context.files.list())[:50]) or "none"
    raise ToolError(f"there is no file {path!r}; the files are: {there}")


def decode(path: str, data: bytes) -> str:
    """Return a file as text.

    :raises ToolError: it is not text, with what to do instead.
    """
    try:
        if b"\0" in data:
            raise UnicodeError
        return data.decode("utf-8-sig")
    except UnicodeError:
        instead = "; use table.query for it" if path.lower().endswith(_TABLES) else ""
        raise ToolError(f"{path!r} is not UTF-8 text but binary, {len(data):,} bytes{instead}") from None
