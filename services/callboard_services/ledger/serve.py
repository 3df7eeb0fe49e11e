"""The ledger as a process: one follower per journal, one database, and answers from it."""

import asyncio
import contextlib

import structlog

from callboard.bus import BusError, layout
from callboard.service import Context
from callboard_services.ledger.answers import Answers
from callboard_services.ledger.follow import Follower, StreamReplacedError, described
from callboard_services.ledger.store import Store

log = structlog.get_logger()

_RETRY_S = 1.0


async def serve(context: Context) -> None:
    """Serve until the context stops."""
    store = await asyncio.to_thread(Store, context.settings.data / "ledger.db")
    stopping = asyncio.create_task(context.stop.wait())
    try:
        while not context.stop.is_set():
            followers = await _followers(context, store)
            with contextlib.suppress(StreamReplacedError):
                await _until_stopped(context, store, followers, stopping)
    finally:
        stopping.cancel()
        await asyncio.to_thread(store.close)


async def _followers(context: Context, store: Store) -> dict[str, Follower]:
    streams = [layout.journal(group) for group in range(context.groups)]
    created = await _created(context, streams)
    positions = await asyncio.to_thread(store.positions, created)
    return {stream: Follower(context.bus, store, stream, created[stream], positions[stream]) for stream in streams}


async def _created(context: Context, streams: list[str]) -> dict[str, str]:
    while True:
        try:
            return {stream: (await described(context.bus, stream))[0] for stream in streams}
        except BusError as error:
            log.warning("the ledger waits", reason=str(error))
            await asyncio.sleep(_RETRY_S)


async def _until_stopped(
    context: Context, store: Store, followers: dict[str, Follower], stopping: asyncio.Task[bool]
) -> None:
    """Follow and answer.

    :raises StreamReplacedError: the tables must be built anew.
    """
    answers = Answers(context.bus, store, followers)
    tasks = [asyncio.create_task(follower.run()) for follower in followers.values()]
    try:
        await answers.start()
        context.ready()
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await answers.stop()
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
