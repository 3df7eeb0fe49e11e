"""`/healthz`: the process is alive. `/readyz`: the broker stores what is given to it, tried for real.

A full disk leaves the broker's own health check green, so readiness is a publish; its answer holds for a second,
because anyone may ask. A stream that could not be written stays so, also with room again, until the server restarts:
one that Callboard started does so by itself.
"""

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response

from callboard.bus import BusError, layout
from callboard_services.gateway.bodies import json
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.problems import problem

_PROBE = f"$KV.{layout.IDEMPOTENCY}.readyz"
_PATIENCE_S = 2.0
_HOLDS_S = 1.0


async def healthz(request: Request) -> Response:
    """Tell that the process is alive, and whether its connection is."""
    return json({"status": "ok", "broker": "connected" if house_of(request).bus.connected else "disconnected"})


class Readiness:
    """The last probe and its time."""

    def __init__(self) -> None:
        self._reason = ""
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def reason(self, house: House) -> str:
        """Return why the gateway is not ready, empty when it is."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._reason = await _probe(house)
                self._until = time.monotonic() + _HOLDS_S
            return self._reason


async def readyz(request: Request) -> Response:
    """Tell whether a goal could be taken now."""
    readiness: Readiness = request.app.state.readiness
    if reason := await readiness.reason(house_of(request)):
        return problem("unavailable", reason)
    return json({"status": "ready"})


async def _probe(house: House) -> str:
    if not house.bus.connected:
        return "The broker is not connected."
    try:
        await house.bus.publish(_PROBE, b"{}", timeout_s=_PATIENCE_S)
    except BusError as error:
        return f"The broker does not store: {error}. If its disk is full, make room."
    return ""
