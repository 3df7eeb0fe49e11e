"""`POST /v1/runs/{run}/cancel`: a word to the guard, which stops the run and everything below it."""

import secrets
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts import guard, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.bodies import decode, json, read
from callboard_services.gateway.house import house_of, principal_of
from callboard_services.gateway.runs import check_known, run_of

_MOST = 4096


class Cancellation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body, which may be empty."""

    reason: Annotated[str, Meta(max_length=1000)] = ""


async def cancel(request: Request) -> Response:
    """Cancel a run and its sub-agents. Said twice, or of a run that has ended, it changes nothing."""
    house, run = house_of(request), run_of(request)
    body = await read(request, _MOST, CallboardError("invalid_request", "The body is larger than 4 KiB."))
    wish = decode(body, Cancellation, "invalid_request") if body else Cancellation()
    await check_known(house, run)
    word = guard.Cancel(run=run, reason=wish.reason, principal=principal_of(request))
    where = subjects.Address.of_tree(house.tenant, run).at("in", "control")
    headers = {wire.ID: f"cancel:{run}:{secrets.token_hex(4)}", wire.TYPE: wire.type_of(guard.Cancel)}
    await house.bus.publish(str(where), wire.encode(word), headers)
    return json({"run": run, "status_url": f"/v1/runs/{run}"}, 202)
