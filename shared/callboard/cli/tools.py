"""`callboard tools`: what runs may use."""

from typing import Annotated, Any

from cyclopts import Parameter

from callboard.cli import exits
from callboard.cli.where import Where, reach, run_async

_ANYWHERE = Where()


def tools(
    *, json: Annotated[bool, Parameter(help="One line of JSON per tool.")] = False, where: Where = _ANYWHERE
) -> int:
    """List the tools that runs may use."""
    found = run_async(_find(where))
    if json:
        import msgspec

        for tool in found:
            print(msgspec.json.encode(tool).decode())
    else:
        _table(found)
    return exits.OK


async def _find(where: Where) -> list[dict[str, Any]]:
    async with reach(where, only=("gateway", "tools")) as reached:
        return await reached.client.tools()


def _table(found: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from callboard.cli.tables import columns, print_table

    if not found:
        print("No tools yet. A tool is a process: see `callboard.tools`.")
        return
    table = columns("TOOL", "EFFECT", "RUNNING", "DESCRIPTION", right=("RUNNING",), free="DESCRIPTION")
    for tool in found:
        running = Text(str(tool["instances"]), "" if tool["instances"] else "red")
        about = Text(tool["description"].split("\n")[0])
        if not tool["admitted"]:
            about = Text(f"not admitted: {tool['problem']}", "red")
        table.add_row(tool["name"], tool["effect"], running, about)
    print_table(table)
