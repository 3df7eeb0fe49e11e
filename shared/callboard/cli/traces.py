"""`callboard traces`: spans of runs that are over, for a collector that was not there."""

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.where import Reached, Where, reach, run_async

if TYPE_CHECKING:
    from callboard.client import Run

app = App(name="traces", help="Export spans of runs that are over.")

_ANYWHERE = Where()
_PAGE = 200


@app.command
def export(
    *,
    since: Annotated[str, Parameter(help="Only runs that began since: 7d, 24h, a date or a time.")] = "",
    until: Annotated[str, Parameter(help="Only runs that began before: as --since; a date counts whole.")] = "",
    skill: Annotated[str, Parameter(help="Only runs of this skill.")] = "",
    where: Where = _ANYWHERE,
) -> int:
    """Print the spans of each run and its sub-agents, newest first: a line of OTLP's JSON per run.

    A collector's `otlpjsonfile` receiver reads such a file. The ids are those that the ledger sends.
    """
    return run_async(_export(where, {"since": since, "until": until, "skill": skill}))


async def _export(where: Where, filters: dict[str, str]) -> int:
    from callboard.cli.trace import body_of

    count = 0
    async with reach(where, only=("gateway", "ledger")) as reached:
        async for row in _over(reached, filters):
            print((await body_of(reached, row.run)).decode())
            count += 1
    print(f"{count:,} runs exported", file=sys.stderr)
    return exits.OK


async def _over(reached: Reached, filters: dict[str, str]) -> "AsyncIterator[Run]":
    """Yield the runs that are over, newest first."""
    before = ""
    while rows := await reached.client.runs(limit=_PAGE, before=before, **filters):
        for row in rows:
            if row.ended:
                yield row
        before = rows[-1].run
