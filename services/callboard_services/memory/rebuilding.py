"""Building the tables anew, and making the vectors anew that another embedder made."""

import msgspec
import structlog

from callboard.bus import Conflict, Delivery, layout, reader
from callboard_contracts import memory, wire
from callboard_services.memory import folding
from callboard_services.memory.house import Memory

log = structlog.get_logger()

_BATCH = 64
_PATIENCE_S = 86_400.0


async def rebuild(house: Memory) -> None:
    """Make every vector with the embedder of today, then throw the tables away, to be folded anew.

    :raises CallboardError: the embedder fails. :raises BusError: do it again; what was done is not done twice.
    """
    house.rebuilding, house.embedded = True, 0
    try:
        await _embed_anew(house)
        house.follower.anew()
        await house.follower.reached(house.follower.last, _PATIENCE_S)
    finally:
        house.rebuilding = False


async def _embed_anew(house: Memory) -> None:
    batch: list[tuple[Delivery, memory.Remembered]] = []
    async for found in reader.scan(house.bus, layout.MEMORY, "cb.*.memory.>"):
        match _outdated(found, house.embedder.name):
            case memory.Remembered() as said:
                batch.append((found, said))
            case memory.Ingested() as document:
                await _document(house, found, document)
            case None:
                continue
        if len(batch) == _BATCH:
            await _texts(house, batch)
            batch = []
    await _texts(house, batch)


def _outdated(found: Delivery, embedder: str) -> memory.Remembered | memory.Ingested | None:
    if found.headers.get(wire.TYPE) not in (wire.type_of(memory.Remembered), wire.type_of(memory.Ingested)):
        return None
    said: memory.Remembered | memory.Ingested = wire.decode(found.body, memory.Remembered | memory.Ingested)
    return said if said.embedder != embedder else None


async def _texts(house: Memory, batch: list[tuple[Delivery, memory.Remembered]]) -> None:
    """Store texts with new vectors, unless they were replaced or forgotten meanwhile."""
    vectors = await house.embedder.embed([said.text for _, said in batch]) if batch else []
    for (found, said), made in zip(batch, vectors, strict=True):
        again = msgspec.structs.replace(said, vector=made, embedder=house.embedder.name)
        try:
            await house.writer.publish(found.stored_subject, again, fence=found.seq)
        except Conflict:
            log.info("replaced meanwhile", subject=found.stored_subject)
    house.embedded += len(batch)


async def _document(house: Memory, found: Delivery, document: memory.Ingested) -> None:
    tenant = found.stored_subject.split(".")[1]
    chunks = await folding.chunks(house.bus, tenant, document)
    if len(chunks) != document.count:
        return  # it is being replaced: a newer message follows
    try:
        await house.writer.ingest(tenant, msgspec.structs.replace(document, chunks=chunks), instead_of=found.seq)
    except Conflict:
        log.info("replaced meanwhile", subject=found.stored_subject)
    house.embedded += len(chunks)
