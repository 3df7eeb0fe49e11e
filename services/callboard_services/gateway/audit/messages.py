"""Every message of a tree, whether it is in the journal or in the archive, in the order of its stream."""

from collections.abc import AsyncIterator

from callboard.audit.message import Message, stored
from callboard.bus import Delivery, reader
from callboard_contracts import ids
from callboard_services.gateway.archive import Replay, is_archived
from callboard_services.gateway.house import House

_LAST = 2**62


async def messages(house: House, run: str, upto: int = _LAST) -> AsyncIterator[Message]:
    """Yield what is stored of a run's tree, up to a sequence.

    :raises CallboardError: `unavailable`: the ledger holds them and does not answer. :raises NoAnswer: no broker.
    """
    found = _archived(house, run) if await is_archived(house, run) else _journal(house, run)
    async for message in found:
        if message.seq > upto:
            return
        yield stored(message.seq, message.time_ms, message.stored_subject, message.headers, message.body)


def _journal(house: House, run: str) -> AsyncIterator[Delivery]:
    tree = ids.tree_of(run)
    return reader.scan(house.bus, house.journal_of(tree), f"cb.{house.tenant}.*.{ids.partition(tree)}.{tree}.>")


async def _archived(house: House, run: str) -> AsyncIterator[Delivery]:
    replay = Replay(house, run)
    await replay.open()
    async for message in replay.messages():
        yield message
