"""`GET /v1/audit`: what was done in a period, a line for each act, from the records of every tree that it concerns."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from typing import Any, Literal

import msgspec
import structlog
from starlette.requests import Request

from callboard import when
from callboard.audit import tree
from callboard.audit.act import Act
from callboard.audit.acts import acts
from callboard.bus import BusError
from callboard_contracts import ids
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.audit import rendering
from callboard_services.gateway.audit.messages import messages
from callboard_services.gateway.bodies import query
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.questions import ask
from callboard_services.gateway.runs import check_known
from callboard_services.gateway.sse import EventStream

log = structlog.get_logger()

_PAGE = 200
_AT_ONCE = 8
"""Trees that are read beside each other."""
_END = 2**62


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters. Every filter that is given must hold; the newest tree comes first, its acts in their order."""

    since: str = ""
    """Only what was recorded since: `7d`, `24h`, a date or a time."""
    until: str = ""
    """Only what was recorded before."""
    user: str = ""
    """Only what was done on behalf of this principal."""
    tool: str = ""
    """Only calls of this tool, and what people decided of them."""
    run: str = ""
    """Only this run and its sub-agents."""
    format: Literal["json", "csv"] = "json"
    """`json`: an object per line."""


class Period(msgspec.Struct, frozen=True):
    """What an act must be like."""

    since_ms: int
    until_ms: int
    user: str
    tool: str
    run: str

    def holds(self, act: Act, gated: frozenset[str]) -> bool:
        """Tell whether an act is wanted; `gated` are the calls of the wanted tool."""
        return (
            self.since_ms <= act.time_ms < self.until_ms
            and self.user in ("", act.principal)
            and (not self.tool or act.tool == self.tool or act.call in gated)
            and (not self.run or act.run == self.run or act.run.startswith(f"{self.run}-"))
        )


async def export(request: Request) -> EventStream:
    """Tell what was done."""
    house, wish = house_of(request), query(request, Wish)
    if wish.run:
        if not ids.is_run(wish.run):
            raise CallboardError("unknown_run", f"There is no run {wish.run[:80]!r}.")
        await check_known(house, wish.run)
    since_ms, until_ms = when.period(wish.since, wish.until, time.time_ns() // 1_000_000)
    until_ms = until_ms or _END
    if since_ms >= until_ms:
        raise CallboardError("invalid_request", "since must be before until.")
    period = Period(since_ms, until_ms, wish.user, wish.tool, wish.run)
    first = await _trees(house, period, "")  # a ledger that does not answer is told by the status
    pieces = _pieces(house, period, first, rendering.as_csv if wish.format == "csv" else rendering.as_json)
    media = "text/csv; charset=utf-8" if wish.format == "csv" else "application/x-ndjson"
    hang_up = partial(house.hang_up, request)
    return EventStream(pieces, stop=house.stop, patience_s=house.patience_s, hang_up=hang_up, media=media)


async def _pieces(
    house: House, period: Period, first: list[str], told: Callable[[list[Act]], bytes]
) -> AsyncGenerator[bytes, None]:
    """Yield acts, tree by tree, and what could not be read as an act of its own: nothing is left out in silence."""
    yield told([])
    async for page in _pages(house, period, first):
        for start in range(0, len(page), _AT_ONCE):
            some = page[start : start + _AT_ONCE]
            for found in await asyncio.gather(*(_acts(house, period, one) for one in some)):
                if found:
                    yield told(found)


async def _pages(house: House, period: Period, page: list[str]) -> AsyncIterator[list[str]]:
    while page:
        yield page
        if period.run:
            return
        page = await _trees(house, period, page[-1])


async def _trees(house: House, period: Period, before: str) -> list[str]:
    if period.run:
        return [ids.tree_of(period.run)]
    asked: dict[str, Any] = {"since_ms": period.since_ms, "user": period.user, "tool": period.tool}
    asked |= {"until_ms": 0 if period.until_ms == _END else period.until_ms, "before": before, "limit": _PAGE}
    return [str(row["run"]) for row in (await ask(house, "trees", asked))["trees"]]


async def _acts(house: House, period: Period, root: str) -> list[Act]:
    found = tree.Tree()
    try:
        async for message in messages(house, root):
            tree.add(found, message)
    except (BusError, CallboardError) as error:
        log.warning("tree not read", tree=root, reason=str(error))
        return [
            Act(time_ms=0, seq=0, kind="ending", tenant=house.tenant, run=root, code="unavailable", reason=str(error))
        ]
    effects = {name: entry.spec.effect for name, entry in house.registry.facts.tools.items()}
    every = acts(found, effects)
    gated = frozenset(act.call for act in every if act.kind == "call" and act.tool == period.tool)
    return [act for act in every if period.holds(act, gated)]
