"""`GET /v1/dead`: what services could not handle, newest last."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard.bus import Delivery, layout, reader
from callboard_contracts import dead, subjects, wire
from callboard_services.gateway.bodies import json, query
from callboard_services.gateway.house import house_of

_BODY_BYTES = 4096


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of `GET /v1/dead`."""

    after: Annotated[int, Meta(ge=0)] = 0
    """The `next` of the page before."""
    limit: Annotated[int, Meta(ge=1, le=200)] = 100


async def letters(request: Request) -> Response:
    """List dead letters, oldest first."""
    house, wanted = house_of(request), query(request, Page)
    found: list[dict[str, Any]] = []
    async for message in reader.scan(house.bus, layout.DEAD, subjects.dead(house.tenant, "*"), wanted.after + 1):
        found.append(_told(message))
        if len(found) == wanted.limit:
            break
    more = found[-1]["dead_seq"] if len(found) == wanted.limit else None
    return json({"letters": found, "next": more})


def _told(message: Delivery) -> dict[str, Any]:
    try:
        letter = wire.decode(message.body, dead.Letter)
    except msgspec.MsgspecError:
        letter = dead.Letter(service="", subject=message.stored_subject, code="undecodable", reason="no dead letter")
    told: dict[str, Any] = msgspec.to_builtins(letter)
    told["body"] = letter.body[:_BODY_BYTES]
    return told | {"dead_seq": message.seq, "time": message.headers.get("Nats-Time-Stamp", "")}
