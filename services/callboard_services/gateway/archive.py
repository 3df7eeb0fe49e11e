"""Runs that left the journal, as the ledger's archive has them: the same messages, in the same order."""

from collections import OrderedDict
from collections.abc import AsyncGenerator

import msgspec

from callboard.bus import Delivery, reader
from callboard.bus.message import encode_headers
from callboard_contracts import ids, subjects
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.house import House
from callboard_services.gateway.questions import ask

_KEPT = 256
"""Inputs that were read and that no record has taken yet."""


class _Stored(msgspec.Struct, frozen=True):
    seq: int
    subject: str
    headers: dict[str, str]
    body: bytes = b""
    cut: bool = False
    """The body is larger than an answer."""


class _Page(msgspec.Struct, frozen=True):
    stream: str
    messages: tuple[_Stored, ...]
    more: bool


async def is_archived(house: House, run: str) -> bool:
    """Tell whether a run's tree has left the journal: then the first record that is there has one before it.

    :raises NoAnswer: the broker does not answer.
    """
    root = ids.tree_of(run)
    fence = subjects.Address.of_run(house.tenant, root).fence
    first = await reader.following(house.bus, house.journal_of(root), fence, 1)
    return first is not None and first.prev > 0


async def first_record(house: House, run: str) -> Delivery | None:
    """Return the record with which an archived run began, None when the archive is gone.

    :raises CallboardError: `unavailable`, the ledger does not answer.
    """
    start = f"{subjects.Address.of_run(house.tenant, run)}.log."
    replay = Replay(house, run)
    try:
        await replay.open()
    except CallboardError as error:
        if error.code != "not_found":
            raise
        return None
    async for record in replay.records():
        if record.stored_subject.startswith(start):
            return record
    return None


class Replay:
    """One reading of an archived tree. `open` it, then read its `records` once; memory is a page."""

    def __init__(self, house: House, run: str) -> None:
        self._house = house
        self._run = run
        self._page = _Page("", (), more=False)
        self._inputs: OrderedDict[int, Delivery] = OrderedDict()

    async def open(self, after: int = 0) -> None:
        """Read the first page after a sequence.

        :raises CallboardError: `not_found`, or `unavailable`: the ledger does not answer.
        """
        self._page = await self._ask(after)

    async def records(self) -> AsyncGenerator[Delivery, None]:
        """Yield the records of all actors of the tree.

        :raises CallboardError: `unavailable`, the ledger stopped answering.
        """
        while True:
            for stored in self._page.messages:
                found = _delivery(self._page.stream, stored)
                if ".log." in stored.subject:
                    yield found
                else:
                    self._keep(found)
            if not self._page.more:
                return
            self._page = await self._ask(self._page.messages[-1].seq)

    async def messages(self) -> AsyncGenerator[Delivery, None]:
        """Yield all messages of the tree: records, inputs and commands. Instead of `records`, not beside them.

        :raises CallboardError: `unavailable`, the ledger stopped answering, or a message is too large.
        """
        while True:
            for stored in self._page.messages:
                if stored.cut:
                    raise CallboardError("unavailable", f"Message {stored.seq} is too large to be told.")
                yield _delivery(self._page.stream, stored)
            if not self._page.more:
                return
            self._page = await self._ask(self._page.messages[-1].seq)

    async def get(self, seq: int) -> Delivery | None:
        """Return the message with a sequence, None when the tree has none."""
        if seq in self._inputs:
            return self._inputs.pop(seq)
        page = await self._ask(seq - 1, limit=1)
        return next((_delivery(page.stream, stored) for stored in page.messages if stored.seq == seq), None)

    def _keep(self, found: Delivery) -> None:
        self._inputs[found.seq] = found
        if len(self._inputs) > _KEPT:
            self._inputs.popitem(last=False)

    async def _ask(self, after: int, **more: int) -> _Page:
        answer = await ask(self._house, "archived", {"run": self._run, "after": after, **more})
        return msgspec.convert(answer, _Page)


def _delivery(stream: str, stored: _Stored) -> Delivery:
    """Return an archived message as if it had been read from its stream."""
    where = {"Nats-Stream": stream, "Nats-Subject": stored.subject, "Nats-Sequence": str(stored.seq)}
    return Delivery(stored.subject, "", stored.body, encode_headers(stored.headers | where))
