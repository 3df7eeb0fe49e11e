"""`callboard cost`: what was spent, by anything, as a table, as JSON or as a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from callboard.cli import exits
from callboard.cli.filters import CallFilters
from callboard.cli.where import Where, reach, run_async

if TYPE_CHECKING:
    from callboard.cli.where import Reached

_ANYWHERE = Where()
_ANY = CallFilters()
_LOOK = ("gateway", "ledger")
_EVERY = "user, skill, agent, model, tool, status, day, tree, run, call, tenant"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Instead:
    """What is told in the place of costs."""

    alerts: Annotated[bool, Parameter(help="The last spend alerts instead.")] = False
    prices: Annotated[bool, Parameter(help="At which prices models were charged instead, and since when.")] = False


_COSTS = Instead()


def cost(
    *,
    by: Annotated[list[str] | None, Parameter(help=f"Add up by: {_EVERY}; several by commas. [default: skill]")] = None,
    filters: CallFilters = _ANY,
    limit: Annotated[int, Parameter(help="How many rows. [default: 30]")] = 30,
    json: Annotated[bool, Parameter(help="One line of JSON.")] = False,
    csv: Annotated[bool, Parameter(help="All rows as CSV, in whole micro-USD.")] = False,
    export: Annotated[Path | None, Parameter(help="Write all rows to this file: .csv or .parquet.")] = None,
    instead: Instead = _COSTS,
    where: Where = _ANYWHERE,
) -> int:
    """Tell what calls cost: metered, and billed where the whole goal was completed."""
    names = [name.strip() for one in by or ["skill"] for name in one.split(",") if name.strip()]
    query = filters.query() | {"by": ",".join(names), "limit": min(5000, max(1, limit))}
    if instead.alerts or instead.prices:
        return run_async(_other(where, "alerts" if instead.alerts else "prices", json=json))
    if csv or export is not None:
        return run_async(_export(where, query, export))
    return run_async(_cost(where, filters, query, json=json))


async def _cost(where: Where, filters: CallFilters, query: dict[str, Any], *, json: bool) -> int:
    from callboard.cli.spent import show

    async with reach(where, only=_LOOK) as reached:
        found = await reached.client.ask("GET", "/v1/cost", query=await _whole(reached, query))
    _print_json(found) if json else show(found, filters.words())
    return exits.OK


async def _other(where: Where, what: str, *, json: bool) -> int:
    from callboard.cli import spent

    async with reach(where, only=_LOOK) as reached:
        found = await reached.client.ask("GET", f"/v1/cost/{what}")
    if json:
        _print_json(found)
    elif what == "alerts":
        spent.show_alerts(found["alerts"])
    else:
        spent.show_prices(found["prices"])
    return exits.OK


async def _export(where: Where, query: dict[str, Any], path: Path | None) -> int:
    import sys

    from callboard.cli.exporting import checked, write

    if path is not None:
        checked(path)
    async with reach(where, only=_LOOK) as reached:
        wanted = await _whole(reached, query) | {"format": "csv"}
        pieces = reached.client.download("/v1/cost", {name: str(value) for name, value in wanted.items()})
        if path is not None:
            rows = await write(path, pieces)
            print(f"{path}  {rows:,} rows. Amounts are whole micro-USD: a million is a dollar.")
            return exits.OK
        async for piece in pieces:
            sys.stdout.write(piece.decode())
    return exits.OK


async def _whole(reached: "Reached", query: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with whole ids in the place of their beginnings."""
    from callboard.cli.runs import whole_id

    given = {name: await whole_id(reached, query[name]) for name in ("tree", "run") if name in query}
    return query | given


def _print_json(found: dict[str, Any]) -> None:
    import msgspec

    print(msgspec.json.encode(found).decode())
