"""`GET /v1/approvals`: requests from the ledger's tables, newest first."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts.units import dollars
from callboard_services.gateway.bodies import json, query
from callboard_services.gateway.house import house_of, voter_of
from callboard_services.gateway.questions import ask

Status = Literal["", "open", "decided", "approved", "denied", "answered", "expired", "withdrawn"]


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of `GET /v1/approvals`."""

    status: Status = ""
    """`open`, `decided` or one outcome."""
    run: str = ""
    """Requests of this run and its sub-agents."""
    group: str = ""
    """Those that this group may decide."""
    mine: bool = False
    """Those that the key may decide."""
    before: str = ""
    """The `next` of the page before."""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


async def page(request: Request) -> Response:
    """List requests, newest first."""
    wanted, who = query(request, Page), voter_of(request)
    question = msgspec.structs.asdict(wanted)
    if question.pop("mine"):
        question |= {"principal": who.name, "groups": who.groups}
    found = await ask(house_of(request), "approvals", question)
    rows = [_told(row) for row in found["approvals"]]
    more = rows[-1]["cursor"] if rows and (len(rows) == wanted.limit or found.get("more")) else None
    return json({"approvals": rows, "next": more})


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"worst_usd": dollars(row["worst_micro_usd"])}
