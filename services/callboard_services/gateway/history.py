"""`GET /v1/runs`: runs of all times, newest first, by status, skill, user, label, time and cost."""

import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard import when
from callboard_contracts.errors import CallboardError
from callboard_contracts.units import MicroUsd, micro_usd
from callboard_services.gateway.bodies import json, query
from callboard_services.gateway.house import house_of
from callboard_services.gateway.questions import ask
from callboard_services.gateway.runs import as_told

Status = Literal["", "running", "waiting", "paused", "completed", "failed", "unachievable", "cancelled", "refused"]


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of `GET /v1/runs`. Every filter that is given must hold."""

    status: Status = ""
    skill: str = ""
    user: str = ""
    """Who started it."""
    label: str = ""
    """`name` or `name:value`; may be given several times."""
    since: str = ""
    """Only those that began since: `7d`, `24h`, a date or a time."""
    until: str = ""
    """Only those that began before: as `since`; a date counts whole."""
    min_cost: str = ""
    """Only those whose whole tree cost so many US dollars or more."""
    max_cost: str = ""
    """Only those whose whole tree cost so many US dollars or less."""
    before: str = ""
    """The cursor of the page before: runs older than this one."""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    children: bool = False
    """Sub-agents too."""


async def page(request: Request) -> Response:
    """List runs, newest first."""
    wanted = query(request, Page)
    found = await ask(house_of(request), "runs", _question(wanted, request.query_params.getlist("label")))
    rows = [as_told(row) for row in found["runs"]]
    more = rows[-1]["run"] if rows and (len(rows) == wanted.limit or found.get("more")) else None
    return json({"runs": rows, "next": more})


def _question(wanted: Page, labels: list[str]) -> dict[str, Any]:
    same = ("status", "skill", "user", "before", "limit", "children")
    asked: dict[str, Any] = {name: getattr(wanted, name) for name in same} | {"labels": labels}
    asked["since_ms"], asked["until_ms"] = when.period(wanted.since, wanted.until, time.time_ns() // 1_000_000)
    for name in ("min_cost", "max_cost"):
        if text := getattr(wanted, name):
            asked[f"{name}_micro_usd"] = _amount(name, text)
    return asked


def _amount(name: str, text: str) -> MicroUsd:
    try:
        return micro_usd(text)
    except ValueError as error:
        raise CallboardError("invalid_request", f"{name}: {error}.") from None
