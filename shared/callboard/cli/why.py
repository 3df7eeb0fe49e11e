"""`callboard runs why`: what a run waits for, in sentences."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from callboard.cli import exits
from callboard.cli.where import Where, reach, run_async

if TYPE_CHECKING:
    from callboard.client import Waits

_ANYWHERE = Where()


def why(
    run: Annotated[str, Parameter(help="The run's id, or its beginning.")],
    /,
    *,
    json: Annotated[bool, Parameter(help="The whole chain, as one line of JSON.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Tell what a run waits for, down to the sub-agents that it waits for: from the records, whoever is dead."""
    return run_async(_why(where, run, json=json))


async def _why(where: Where, run: str, *, json: bool) -> int:
    from callboard.cli.runs import whole_id

    async with reach(where, only=("gateway", "ledger")) as reached:
        found = await reached.client.why(await whole_id(reached, run))
    if json:
        import msgspec

        print(msgspec.json.encode(found).decode(), flush=True)
    else:
        _tell(found)
    return exits.OK


def _tell(found: "Waits") -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from callboard_contracts import ids

    console = Console(highlight=False)
    console.print(Text.assemble(("run ", "dim"), found.run, ("  " + found.status, "bold")), soft_wrap=True)
    for reason in found.chain:
        depth = 2 * (ids.depth_of(reason["run"]) - ids.depth_of(found.run)) + 2
        for line in _lines(reason):
            indented = Padding(line, (0, 0, 0, depth)) if console.is_terminal else Text(" " * depth) + line
            console.print(indented, soft_wrap=not console.is_terminal)


def _lines(reason: dict[str, Any]) -> "list[Any]":
    from rich.text import Text

    found = [Text(str(reason["sentence"]))]
    if reason["detail"] and reason["detail"] not in reason["sentence"]:
        found.append(Text(f"  {reason['detail']}", "dim"))
    if reason["advice"]:
        found.append(Text(f"  {reason['advice']}", "dim"))
    return found
