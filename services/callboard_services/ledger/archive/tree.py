"""A tree in the journal: whether it is all there, reading it, and taking it out."""

from collections.abc import AsyncIterator

from callboard import crash
from callboard.bus import Bus, layout, reader
from callboard.bus.purge import purge
from callboard_contracts import ids, subjects
from callboard_services.ledger.archive.message import Message, stored
from callboard_services.ledger.archive.parquet import Entry

_ARTIFACTS = f"OBJ_{layout.ARTIFACTS}"


async def is_whole(bus: Bus, stream: str, tenant: str, tree: str) -> bool:
    """Tell whether a tree begins with its first records: another ledger may have archived and purged it.

    :raises NoAnswer: the broker does not answer.
    """
    for address in (subjects.Address.of_run(tenant, tree), subjects.Address.of_tree(tenant, tree)):
        first = await reader.following(bus, stream, address.fence, 1)
        if first is None or first.prev:
            return False
    return True


async def messages(bus: Bus, stream: str, tenant: str, tree: str) -> AsyncIterator[Message]:
    """Yield everything that is stored of a tree, in the order of the stream.

    :raises NoAnswer: the broker stopped answering.
    """
    async for found in reader.scan(bus, stream, f"cb.{tenant}.*.{ids.partition(tree)}.{tree}.>"):
        yield stored(found)


async def take_out(bus: Bus, entry: Entry) -> int:
    """Purge what is in the archive from the journal, and the claims of the tree's calls. Saying it again is harmless.

    :raises BusError: some of it may be purged; do it again.
    """
    count = 0
    for group, before in entry.purges.items():
        count += await purge(bus, entry.stream, group, before=before)
    await purge(bus, _ARTIFACTS, f"$O.{layout.ARTIFACTS}.C.{entry.tree}.claim.>")
    crash.point("ledger.after_purge")
    return count
