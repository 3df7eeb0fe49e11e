"""A batch of stored messages as changes, by tenant. What cannot be read goes to the dead letters and stops nobody."""

from collections.abc import AsyncIterator, Sequence

import structlog

from callboard.bus import Bus, Delivery, layout, reader
from callboard.dead_letters import bury
from callboard_contracts import memory, subjects, wire
from callboard_services.memory.changes import Changes

log = structlog.get_logger()

_BATCH_ROWS = 2000


async def folded(bus: Bus, batch: Sequence[Delivery]) -> AsyncIterator[tuple[dict[str, Changes], int]]:
    """Yield what a batch changes, and up to which sequence: at once, or in pieces when its documents are large.

    :raises BusError: the broker does not answer.
    """
    changes: dict[str, Changes] = {}
    for message in batch:
        tenant = message.stored_subject.split(".")[1]
        try:
            await _take(bus, tenant, changes.setdefault(tenant, Changes()), message)
        except ValueError as error:
            log.warning("not readable", stream=layout.MEMORY, seq=message.seq, reason=str(error))
            await bury(bus, "memory", message, "undecodable", str(error))
        if sum(len(change.rows) for change in changes.values()) >= _BATCH_ROWS:
            yield changes, message.seq
            changes = {}
    if batch:
        yield changes, batch[-1].seq


async def _take(bus: Bus, tenant: str, changes: Changes, message: Delivery) -> None:
    tokens = message.stored_subject.split(".")
    if tokens[2] == "read":
        changes.read(wire.decode(message.body, memory.Read), message.seq)
    elif tokens[3] != "part":
        item: memory.Item = wire.decode(message.body, memory.Item)
        found = await chunks(bus, tenant, item) if isinstance(item, memory.Ingested) else ()
        changes.take(item, found, message.seq)


async def chunks(bus: Bus, tenant: str, document: memory.Ingested) -> tuple[memory.Chunk, ...]:
    """Return a document's chunks; none when it is just being replaced or forgotten, for then another message follows.

    :raises BusError: the broker does not answer.
    """
    if not document.parts:
        return document.chunks
    parts: dict[int, tuple[memory.Chunk, ...]] = {}
    where = subjects.memory(tenant, "part", document.id, document.version, "*")
    async for found in reader.scan(bus, layout.MEMORY, where):
        parts[int(found.stored_subject.split(".")[6])] = wire.decode(found.body, memory.Part).chunks
    whole = tuple(chunk for n in sorted(parts) for chunk in parts[n])
    return whole if len(whole) == document.count else ()


async def quarantined(bus: Bus) -> dict[str, set[str]]:
    """Return the sources that are in quarantine now, by tenant.

    :raises BusError: the broker does not answer.
    """
    hidden: dict[str, set[str]] = {}
    async for found in reader.scan(bus, layout.MEMORY, "cb.*.memory.quarantine.*"):
        said: memory.Quarantined | memory.Released = wire.decode(found.body, memory.Quarantined | memory.Released)
        if isinstance(said, memory.Quarantined):
            hidden.setdefault(found.stored_subject.split(".")[1], set()).add(said.source)
    return hidden
