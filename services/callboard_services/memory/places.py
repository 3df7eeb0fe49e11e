"""Where something is remembered, and in how many messages. Pure."""

import hashlib
from collections.abc import Iterable

import msgspec

from callboard_contracts import memory, subjects, wire


def subject_of(tenant: str, said: memory.Remembered | memory.Ingested) -> str:
    """Return where something is remembered: a run's notes together, everything else by its kind."""
    if isinstance(said, memory.Ingested):
        return subjects.memory(tenant, "document", said.id)
    return subjects.memory(tenant, said.kind, *((said.origin.run,) if said.kind == "note" else ()), said.id)


def read_as(title: str, chunk: memory.Chunk) -> str:
    """Return what a chunk is embedded as: a sentence says more under the headings that it stands under."""
    above = dict.fromkeys((title, *chunk.place.heading.split(" › ")))
    return "\n".join((" › ".join(part for part in above if part), chunk.text))


def divided(
    document: memory.Ingested, chunks: tuple[memory.Chunk, ...], embedder: str
) -> tuple[memory.Ingested, list[bytes]]:
    """Return a document as it is stored, and the bodies of its parts when it is larger than 32 KiB."""
    parts = split(chunks) if len(wire.encode(chunks)) > wire.INLINE_BYTES else ()
    bodies = [wire.encode(memory.Part(chunks=part)) for part in parts]
    said = msgspec.structs.replace(
        document,
        embedder=embedder,
        count=len(chunks),
        chunks=() if parts else chunks,
        parts=len(parts),
        version=hashlib.sha256(b"".join(bodies)).hexdigest()[:16] if bodies else "",
    )
    return said, bodies


def split(chunks: Iterable[memory.Chunk]) -> tuple[tuple[memory.Chunk, ...], ...]:
    """Return chunks in parts of at most 32 KiB; a chunk that is larger is a part of its own."""
    parts: list[list[memory.Chunk]] = [[]]
    room = wire.INLINE_BYTES
    for chunk in chunks:
        size = len(wire.encode(chunk)) + 1
        if size > room and parts[-1]:
            parts.append([])
            room = wire.INLINE_BYTES
        parts[-1].append(chunk)
        room -= size
    return tuple(tuple(part) for part in parts)
