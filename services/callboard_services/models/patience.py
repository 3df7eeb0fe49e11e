"""A broker that does not answer for a moment costs time and no call: what reads or stores is tried again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from callboard.bus import BusError

log = structlog.get_logger()

_PAUSE_S = 0.25

T = TypeVar("T")


async def patiently(work: Callable[[], Awaitable[T]], what: str) -> T:
    """Do something with the broker until it succeeds. The call's own timeout ends it."""
    while True:
        try:
            return await work()
        except BusError as error:
            log.warning("broker silent: trying again", what=what, detail=str(error))
            await asyncio.sleep(_PAUSE_S)
