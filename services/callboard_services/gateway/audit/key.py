"""`GET /v1/audit/key`: the public key with which this system signs its audit."""

from starlette.requests import Request
from starlette.responses import Response

from callboard_services.gateway.bodies import json
from callboard_services.gateway.house import house_of
from callboard_services.gateway.questions import ask


async def show(request: Request) -> Response:
    """Return the key. With several ledgers, that of the one that answered: each has its own."""
    return json(await ask(house_of(request), "key", {}))
