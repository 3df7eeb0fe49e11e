"""A disk that was full: the server is started again in place once there is room, because it does not try again itself.

A stream whose write found no space refuses every further one until the server is restarted. Nothing is lost by that:
what was not written was never acknowledged, its publishers keep it, and clients come back to the same address.
"""

import asyncio
import os
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from callboard.server.config import Plan
from callboard_contracts.errors import CallboardError

log = structlog.get_logger()

EVERY_S = 2.0
ROOM_BYTES = 64 << 20
"""What must be free before it is worth a try; on a small disk a tenth of it."""
_PATIENCE_S = 5.0
_NO_SPACE = "no space left on device"


class Server(Protocol):
    """What is looked after."""

    plan: Plan
    monitoring: str
    """Where it tells how it is."""

    async def restart(self) -> None:
        """Start it again at the same address. :raises CallboardError: it did not start."""


async def tend(server: Server) -> None:
    """Look after a server until cancelled."""
    full = False
    while True:
        await asyncio.sleep(EVERY_S)
        full = full or await _met_a_full_disk(server)
        if full and has_room(server.plan.store):
            full = not await _restarted(server)


def has_room(store: Path) -> bool:
    """Whether the disk of a store has room again."""
    disk = os.statvfs(store)
    return disk.f_bavail * disk.f_frsize >= min(ROOM_BYTES, disk.f_blocks * disk.f_frsize // 10)


async def _met_a_full_disk(server: Server) -> bool:
    """Whether a stream can be written no more. Every stream tells for itself: another may never have tried."""
    told = await _health(server.monitoring)
    if _NO_SPACE not in told:
        return False
    log.error("the disk under the broker is full: make room, it goes on by itself", store=str(server.plan.store))
    return True


async def _health(monitoring: str) -> str:
    """Return what the server says of itself, nothing when it does not answer: it may be starting."""
    where = urlsplit(monitoring)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            try:
                writer.write(b"GET /healthz?details=true HTTP/1.0\r\n\r\n")
                return (await reader.read()).decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""


async def _restarted(server: Server) -> bool:
    log.warning("the disk has room again: the broker is started anew", store=str(server.plan.store))
    try:
        await server.restart()
    except (CallboardError, OSError) as error:
        log.error("the broker did not start", reason=str(error))
        return False
    return True
