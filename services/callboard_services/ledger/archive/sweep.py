"""Takes many trees out of a journal with few purges.

After each purge that found anything, the broker counts anew what every consumer of the stream has before it: measured,
2 µs for each subject that the stream holds, so 70 ms with 36,000 of them, while nobody else publishes. A purge for
each tree would therefore cost more the more there is. A sweep purges by kind instead, for all trees at once, up to the
first message that is not in this ledger's archive: it reads each message once more, and asks for twenty purges.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from callboard.bus import Bus, reader
from callboard.bus.purge import purge
from callboard_services.ledger.archive import index
from callboard_services.ledger.archive.message import group_of
from callboard_services.ledger.archive.parquet import Entry

KINDS: Final = (
    "log.accepted",  # first: a tree without it is known not to be whole
    "log.called", "log.took", "log.noted", "log.deferred", "log.paused", "log.resumed", "log.steered", "log.retried",
    "log.opened", "log.call.>", "log.calls", "log.refusal", "log.settled", "log.held", "log.closing", "log.armed",
    "send.>", "in.>",
)  # fmt: skip
"""What can be purged by its kind. A kind that is missing here, or ends an actor, leaves with its own tree."""
_KNOWN = 4096

Find = Callable[[index.Tree], Awaitable[Entry | None]]
"""Returns where an archived tree is."""


async def sweep(bus: Bus, stream: str, find: Find) -> int:
    """Purge what the oldest trees of a stream leave behind, and return how many messages that were.

    :raises BusError: some of it may be purged; do it again.
    """
    count = 0
    for kind in KINDS:
        subject = f"cb.*.*.*.*.*.{kind}"
        if before := await _before(bus, stream, subject, find):
            count += await purge(bus, stream, subject, before=before)
    return count


async def _before(bus: Bus, stream: str, subject: str, find: Find) -> int:
    """Return the sequence up to which every message of a kind may leave; 0: none may."""
    known: dict[index.Tree, Entry | None] = {}
    before = 0
    async for found in reader.scan(bus, stream, subject):
        tokens = found.stored_subject.split(".")
        tree = (tokens[1], tokens[4])
        if tree not in known:
            if len(known) == _KNOWN:
                known.clear()
            known[tree] = await find(tree)
        entry = known[tree]
        if entry is None or found.seq >= entry.purges.get(group_of(found.stored_subject), 0):
            return before
        before = found.seq + 1
    return before
