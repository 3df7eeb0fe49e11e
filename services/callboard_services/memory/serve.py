"""Memory as a process: its tools, its answers, what follows the end of runs, and the tables that it keeps up to date.

One process writes in a folder; another one on the same folder waits, and takes over when the first is gone. Processes
with folders of their own all work, and each holds everything.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import structlog

from callboard.bus import BusError
from callboard.lock import Lock
from callboard.service import Context
from callboard.tools import serving
from callboard_contracts.errors import CallboardError
from callboard_services.memory.embedding import INSTALL, missing, open_embedder

if TYPE_CHECKING:
    from callboard_services.memory.house import Memory

log = structlog.get_logger()

_RETRY_S = 1.0


async def serve(context: Context) -> None:
    """Serve until the context stops.

    :raises CallboardError: `unavailable`, the extra is not installed or the embedder cannot be used.
    """
    if absent := missing():
        raise CallboardError("unavailable", f"{', '.join(absent)} is not installed: {INSTALL}")
    with Lock(context.settings.data / "memory.lock") as lock:
        if not await _owned(context, lock):
            return
        await _serve(context)


async def _owned(context: Context, lock: Lock) -> bool:
    """Wait until no other process writes in the folder. False when stopped meanwhile."""
    told = False
    while not lock.take():
        if not told:
            log.info("memory waits: another process serves this folder", folder=str(context.settings.data))
            context.ready()
            told = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(context.stop.wait(), _RETRY_S)
        if context.stop.is_set():
            return False
    return True


async def _opened(house: "Memory", tenant: str) -> None:
    """Wait until questions are answered: opening the tables takes seconds. Building them anew is waited for in part."""
    try:
        if not await house.empty(tenant):
            await house.current(tenant)
    except (BusError, CallboardError) as error:
        log.warning("ready before the tables are", reason=str(error))


async def _serve(context: Context) -> None:
    from callboard_services.memory import parts  # numpy and all that: not before it is known to be there

    settings = context.settings
    embedder = await open_embedder(settings.embeddings)
    house = parts.furnished(context, embedder)
    beside: list[asyncio.Future[Any]] = [asyncio.ensure_future(work(house)) for work in parts.BESIDE]
    doors = parts.Doors(house)
    endings, answers = parts.Endings(house), parts.Answers(house, doors.questions())
    try:
        await doors.start()
        tools = (*parts.tools(house), *doors.tools())
        async with serving(
            context.bus, context.groups, tools, concurrency=settings.concurrency, ack_wait_s=settings.ack_wait_s
        ):
            await endings.start()
            await answers.start()
            opening = asyncio.ensure_future(_opened(house, settings.tenant))
            beside += [opening, asyncio.ensure_future(context.stop.wait())]
            await asyncio.wait(beside[-2:], return_when=asyncio.FIRST_COMPLETED)
            context.ready()
            await context.stop.wait()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await endings.stop()
        await answers.stop()
        await doors.stop()
        await house.tasks.stop()
