"""The ledger as a process: one follower per journal, one database, and answers from it."""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from callboard.bus import BusError, layout
from callboard.bus.streams import described
from callboard.service import Context
from callboard_services.ledger.alerts.rules import Rule, read
from callboard_services.ledger.alerts.watch import Watch
from callboard_services.ledger.answers import Answers
from callboard_services.ledger.archive import index
from callboard_services.ledger.archive.archiver import Archiver, available
from callboard_services.ledger.archive.rebuild import Rebuild, enter_all
from callboard_services.ledger.audit.auditor import Auditor
from callboard_services.ledger.follow import Follower, StreamReplacedError
from callboard_services.ledger.store import Store
from callboard_services.ledger.tending import DatabaseGoneError, seal, stay
from callboard_services.ledger.traces.exporting import Exporting

log = structlog.get_logger()

_RETRY_S = 1.0

Journals = dict[str, tuple[str, int]]
"""When each journal was made, and its last sequence."""


async def serve(context: Context) -> None:
    """Serve until the context stops."""
    rules = read(context.settings.alerts, context.settings.data)
    _say_what_is_missing(context.settings.retention_s)
    stopping = asyncio.create_task(context.stop.wait())
    try:
        while not context.stop.is_set():
            with contextlib.suppress(DatabaseGoneError):
                await _with_database(context, stopping, rules)
    finally:
        stopping.cancel()


async def _with_database(context: Context, stopping: asyncio.Task[bool], rules: Sequence[Rule]) -> None:
    """Serve from one database until the context stops.

    :raises DatabaseGoneError: it was deleted.
    """
    scopes = frozenset(rule.scope for rule in rules)
    store = await asyncio.to_thread(Store, context.settings.data / "ledger.db", scopes)
    try:
        while not context.stop.is_set():
            journals = await _journals(context)
            with contextlib.suppress(StreamReplacedError):
                await _until_stopped(context, store, journals, stopping, rules)
    finally:
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


async def _until_stopped(
    context: Context, store: Store, journals: Journals, stopping: asyncio.Task[bool], rules: Sequence[Rule]
) -> None:
    """Follow, archive and answer.

    :raises StreamReplacedError: the tables must be built anew. :raises DatabaseGoneError: and so must the database.
    """
    rebuild = Rebuild(store, context.settings.data / "archive")
    if available():
        await asyncio.to_thread(enter_all, store, rebuild.folder)
    followers = await _followers(context, store, journals)
    await asyncio.to_thread(rebuild.look)
    created = {stream: made for stream, (made, _) in journals.items()}
    auditor = Auditor(context.bus, context.settings.data, followers, created)
    answers = Answers(context.bus, store, followers, rebuild, auditor)
    exporting = Exporting(context.bus, context.settings.data, journals, store, contents=context.settings.trace_content)
    tasks = [asyncio.create_task(follower.run()) for follower in followers.values()]
    tasks.append(asyncio.create_task(auditor.run()))
    tasks.append(asyncio.create_task(_archive(context, store, created, rebuild)))
    tasks.append(asyncio.create_task(seal(store)))
    tasks.append(asyncio.create_task(stay(store)))
    tasks.append(asyncio.create_task(_watch(context, store, next(iter(created)), rules)))
    try:
        await answers.start()
        await exporting.start()
        context.ready()
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await exporting.finish()
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await answers.stop()
        await auditor.close()
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _watch(context: Context, store: Store, stream: str, rules: Sequence[Rule]) -> None:
    if rules:
        await Watch(context.bus, store, stream, rules).run()
    await context.stop.wait()


async def _archive(context: Context, store: Store, created: dict[str, str], rebuild: Rebuild) -> None:
    """Read the archive again where the tables lack it, then add to it, until cancelled."""
    await rebuild.run()
    retention_s = context.settings.retention_s
    if retention_s > 0 and available():
        await Archiver(context.bus, store, rebuild.folder, created, retention_s=retention_s).run()
    await context.stop.wait()
