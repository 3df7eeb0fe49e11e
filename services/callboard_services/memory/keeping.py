"""Keeps the tables: follows the stream, builds them anew when they are damaged, brings the indices up to date."""

import asyncio
from datetime import timedelta

import structlog

from callboard.bus import BusError
from callboard_services.memory.house import Memory
from callboard_services.memory.lance import FAILURES
from callboard_services.memory.tables import DamagedError

log = structlog.get_logger()

_RETRY_S = 1.0
_TIDY_S = 3.0
"""How long after a change the indices follow, about."""
_FAR = 2000
"""How many messages behind the tables are so far behind that tidying them would be done again."""
KEEP = timedelta(seconds=30)
"""How long a version that was replaced stays, for those who read it."""


async def keep(house: Memory) -> None:
    """Follow the stream until cancelled."""
    tidying = asyncio.create_task(_tidy(house))
    try:
        while True:
            await _follow(house)
            await asyncio.sleep(_RETRY_S)  # what is damaged again and again does not take a whole core
    finally:
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)


async def _follow(house: Memory) -> None:
    """Follow until something goes wrong, and leave the tables in a state from which it can go on."""
    try:
        await house.follower.start()
        await house.follower.run()
    except DamagedError as error:
        log.warning("memory's tables are folded anew", folder=house.tables.root, reason=str(error)[:300])
        house.tables.damaged = True
    except (BusError, *FAILURES) as error:
        log.warning("memory waits", folder=house.tables.root, reason=str(error)[:300])


async def _tidy(house: Memory) -> None:
    while True:
        await asyncio.sleep(_TIDY_S)
        if house.follower.last - house.follower.position > _FAR:
            continue  # every index is brought up to date once, when all is folded
        try:
            await house.tables.tidy(KEEP)
        except FAILURES as error:
            log.warning("memory could not be tidied", reason=str(error)[:300])
            house.follower.doubt(error)
