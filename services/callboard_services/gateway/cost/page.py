"""`GET /v1/cost` and what belongs to it: as JSON a page, as CSV everything."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts.errors import CallboardError
from callboard_contracts.units import dollars
from callboard_services.gateway.bodies import json
from callboard_services.gateway.cost import rendering
from callboard_services.gateway.cost.wish import cursor, question, wish_of
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.questions import ask
from callboard_services.gateway.runs import check_known
from callboard_services.gateway.sse import EventStream

log = structlog.get_logger()

_PATIENCE_S = 12.0
_AT_ONCE = 5000


async def show(request: Request) -> Any:
    """Add up what calls cost."""
    house, wish = house_of(request), wish_of(request)
    asked = question(wish)
    if named := wish.run or wish.tree:
        await check_known(house, named)
    if wish.format == "csv":
        return await _everything(request, house, asked)
    found = await ask(house, "cost", asked, timeout_s=_PATIENCE_S)
    rows = found["rows"]
    after = cursor(rows[-1]["at"]) if rows and found["more"] and wish.order == "key" else None
    told = [_told(row) for row in rows]
    return json(found | {"rows": told, "totals": _told(found["totals"]), "by": asked["by"], "next": after})


def _told(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in row.items() if name != "at"}
    return told | {"cost_usd": dollars(row["cost_micro_usd"]), "billed_usd": dollars(row["billed_micro_usd"])}


async def _everything(request: Request, house: House, asked: dict[str, Any]) -> EventStream:
    asked |= {"order": "key", "limit": _AT_ONCE}
    first = await ask(house, "cost", asked, timeout_s=_PATIENCE_S)  # what is wrong is told before the first byte
    return EventStream(
        _lines(house, asked, first),
        stop=house.stop,
        patience_s=house.patience_s,
        hang_up=partial(house.hang_up, request),
        media=rendering.MEDIA,
    )


async def _lines(house: House, asked: dict[str, Any], found: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    yield rendering.header(asked["by"])
    while True:
        yield rendering.rows(asked["by"], found["rows"])
        if not found["more"]:
            return
        after = {"after": found["rows"][-1]["at"]}
        try:
            found = await ask(house, "cost", asked | after, timeout_s=_PATIENCE_S)
        except CallboardError as error:
            log.warning("an export of costs ends early", reason=error.detail)
            raise TimeoutError(error.detail) from None


async def alerts(request: Request) -> Response:
    """Tell the last spend alerts."""
    found = await ask(house_of(request), "alerts", {}, timeout_s=_PATIENCE_S)
    for alert in found["alerts"]:
        alert |= {f"{name}_usd": dollars(alert[f"{name}_micro_usd"]) for name in ("spent", "threshold")}
    return json(found)


async def prices(request: Request) -> Response:
    """Tell at which prices models were charged, and since when."""
    found = await ask(house_of(request), "prices", {}, timeout_s=_PATIENCE_S)
    for price in found["prices"]:
        price |= {f"{name}_usd": dollars(price[name]) for name in ("input", "output")}
    return json(found)
