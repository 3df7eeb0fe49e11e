"""Reads one journal on from a position of its own, which moves when the collector has taken what ended.

What was not taken is not read further: the journal is the queue, so a collector that is down costs no memory and slows
nobody. Read again after a crash, the same records give the same spans with the same ids.
"""

import asyncio
import contextlib
import sqlite3
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import structlog

from callboard.bus import Bus, BusError, Delivery, reader
from callboard.tasks import finished
from callboard.traces import At, Span, Tree, begun, fold
from callboard_contracts import subjects, wire
from callboard_contracts.journal import Record
from callboard_services.ledger.traces.kept import Kept

log = structlog.get_logger()

_EVERY = "cb.*.*.*.*.*.log.>"
_PAGE = 512
_PAGE_BYTES = 2 * 1024 * 1024
_IDLE_S = 1.0
"""How long records gather for the next page. Whoever looks at traces does not see a second."""
_RETRY_S = 1.0
_MOST_TREES = 5000
"""So many trees that go on are held in memory; the others are in the database."""

Send = Callable[[str, Sequence[Span]], Awaitable[None]]
"""Takes a journal and spans, and returns when they were taken."""

_Key = tuple[str, str]


class Tracer:
    """One journal's way to the collector. Use a new one after it failed."""

    def __init__(self, bus: Bus, kept: Kept, stream: str, created: str, position: int, send: Send) -> None:
        self.stream = stream
        self.position = position
        self._bus = bus
        self._kept = kept
        self._created = created
        self._send = send
        self._trees: OrderedDict[_Key, Tree] = OrderedDict()

    async def run(self, stop: asyncio.Event) -> None:
        """Send what ends until told to stop, then what has ended until then."""
        async with reader.Pages(self._bus, self.stream, _EVERY, batch=_PAGE, most_bytes=_PAGE_BYTES) as pages:
            while not stop.is_set():
                if not await self._read_on(pages):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_IDLE_S):
                            await stop.wait()
            while await self._read_on(pages):
                pass

    async def _read_on(self, pages: reader.Pages) -> bool:
        """Deal with one page, and tell whether more follows."""
        try:
            found, more = await pages.read(self.position + 1)
        except BusError as error:
            log.warning("traces wait", stream=self.stream, reason=str(error))
            await asyncio.sleep(_RETRY_S)
            return False
        if found:
            spans, moved = await asyncio.to_thread(self._folded, found)
            if spans:
                await self._send(self.stream, spans)
            await finished(self._commit(found[-1].seq, spans, moved))
        return more

    async def _commit(self, seq: int, spans: Sequence[Span], moved: Sequence[Tree]) -> None:
        while True:
            try:
                await asyncio.to_thread(self._kept.commit, self.stream, self._created, seq, moved, spans)
                break
            except sqlite3.Error as error:
                log.warning("traces wait", stream=self.stream, reason=str(error))
                await asyncio.sleep(_RETRY_S)
        self.position = seq
        for tree in moved:
            if tree.done:
                self._trees.pop((tree.tenant, tree.tree), None)
        while len(self._trees) > _MOST_TREES:
            self._trees.popitem(last=False)

    def _folded(self, found: Sequence[Delivery]) -> tuple[list[Span], list[Tree]]:
        """Return what ended in a page, and the trees that moved. What cannot be read, the ledger's tables have told."""
        spans: list[Span] = []
        moved: dict[_Key, Tree] = {}
        for delivery in found:
            try:
                where = subjects.Subject.parse(delivery.stored_subject)
                record = wire.decode(delivery.body, Record)
            except ValueError:
                continue
            tree = self._tree(where.address, first=not delivery.prev)
            if tree is not None:
                at = At(where.address.run, delivery.seq, delivery.time_ms)
                spans += _ended(tree, at, record)
                moved[tree.tenant, tree.tree] = tree
        return spans, list(moved.values())

    def _tree(self, address: subjects.Address, *, first: bool) -> Tree | None:
        """Return the tree of a record: a new one for the root's first, None when it began before traces did."""
        key = (address.tenant, address.tree)
        found = self._trees.get(key)
        if found is None:
            begins = first and address.actor == "run" and address.run == address.tree
            found = begun(*key) if begins else self._kept.tree(*key)
            if found is not None:
                self._trees[key] = found
        else:
            self._trees.move_to_end(key)
        return found


def _ended(tree: Tree, at: At, record: Record) -> list[Span]:
    """Return what ended with a record. One that breaks the fold costs spans of its tree, and holds up no other."""
    try:
        return fold(tree, at, record)
    except Exception:
        log.exception("record without a trace", tree=tree.tree, seq=at.seq)
        return []
