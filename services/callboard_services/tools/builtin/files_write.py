"""`files.write`: a text file of the run."""

from typing import Annotated

from msgspec import Meta

from callboard.tools import Seen, ToolContext, ToolError, tool
from callboard_contracts.errors import CallboardError


@tool(name="files.write", effect="write", timeout_s=60, tags=("files",))
async def files_write(
    context: ToolContext,
    path: Annotated[str, Meta(min_length=1, max_length=512, description="Relative, such as report.md or out/a.csv")],
    text: Annotated[str, Meta(description="The whole content")],
) -> Seen:
    """Write a text file into this run, where later steps and people find it. One of the same path is replaced."""
    try:
        return await context.files.write(path, text.encode())
    except CallboardError as error:
        raise ToolError(error.detail) from None
    except UnicodeError:
        raise ToolError("the text holds half of a surrogate pair, which no file can") from None
