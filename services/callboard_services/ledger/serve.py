"""The ledger as a process: one follower per journal, one database, and answers from it."""

import asyncio
import contextlib

import structlog

from callboard.bus import BusError, layout
from callboard.service import Context
from callboard_services.ledger.answers import Answers
from callboard_services.ledger.archive import index
from callboard_services.ledger.archive.archiver import Archiver, available
from callboard_services.ledger.archive.rebuild import Rebuild, enter_all
from callboard_services.ledger.follow import Follower, StreamReplacedError
from callboard_services.ledger.store import Store
from callboard_services.ledger.streams import described

log = structlog.get_logger()

_RETRY_S = 1.0

Journals = dict[str, tuple[str, int]]
"""When each journal was made, and its last sequence."""


async def serve(context: Context) -> None:
    """Serve until the context stops."""
    store = await asyncio.to_thread(Store, context.settings.data / "ledger.db")
    _say_what_is_missing(context.settings.retention_s)
    stopping = asyncio.create_task(context.stop.wait())
    try:
        while not context.stop.is_set():
            journals = await _journals(context)
            with contextlib.suppress(StreamReplacedError):
                await _until_stopped(context, store, journals, stopping)
    finally:
        stopping.cancel()
        await asyncio.to_thread(store.close)


def _say_what_is_missing(retention_s: float) -> None:
    if retention_s > 0 and not available():
        log.warning("finished runs stay in the journal: install callboard[ledger] to archive them")


async def _followers(context: Context, store: Store, journals: Journals) -> dict[str, Follower]:
    positions = await asyncio.to_thread(store.positions, journals)
    found: dict[str, Follower] = {}
    for stream, (created, _) in journals.items():
        through = await asyncio.to_thread(index.through, store, stream, created)
        found[stream] = Follower(context.bus, store, stream, created, positions[stream], through)
    return found


async def _journals(context: Context) -> Journals:
    streams = [layout.journal(group) for group in range(context.groups)]
    while True:
        try:
            return {stream: await described(context.bus, stream) for stream in streams}
        except BusError as error:
            log.warning("the ledger waits", reason=str(error))
            await asyncio.sleep(_RETRY_S)


async def _until_stopped(context: Context, store: Store, journals: Journals, stopping: asyncio.Task[bool]) -> None:
    """Follow, archive and answer.

    :raises StreamReplacedError: the tables must be built anew.
    """
    rebuild = Rebuild(store, context.settings.data / "archive")
    if available():
        await asyncio.to_thread(enter_all, store, rebuild.folder)
    followers = await _followers(context, store, journals)
    await asyncio.to_thread(rebuild.look)
    answers = Answers(context.bus, store, followers, rebuild)
    tasks = [asyncio.create_task(follower.run()) for follower in followers.values()]
    created = {stream: made for stream, (made, _) in journals.items()}
    tasks.append(asyncio.create_task(_archive(context, store, created, rebuild)))
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


async def _archive(context: Context, store: Store, created: dict[str, str], rebuild: Rebuild) -> None:
    """Read the archive again where the tables lack it, then add to it, until cancelled."""
    await rebuild.run()
    retention_s = context.settings.retention_s
    if retention_s > 0 and available():
        await Archiver(context.bus, store, rebuild.folder, created, retention_s=retention_s).run()
    await context.stop.wait()
