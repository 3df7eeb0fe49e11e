"""What is remembered as rows of a table: one for a text, one for each chunk of a document. Pure."""

import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from callboard_contracts import memory
from callboard_services.memory import vector
from callboard_services.memory.hits import Row, hit
from callboard_services.memory.query import audience

__all__ = ["TRUST", "Row", "document_id", "least", "of_document", "of_text", "sources_of"]

TRUST: Final[tuple[memory.Trust, ...]] = ("person", "agent", "tool", "web")


def document_id(origin: memory.Origin) -> str:
    """Return the id of a document: it follows from its source and from who may see it."""
    key = [origin.source, origin.workspace, origin.scope, origin.owner]
    return hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:20]


def least(trusts: Iterator[memory.Trust] | tuple[memory.Trust, ...]) -> memory.Trust:
    """Return the least trusted of some labels."""
    return max(trusts, key=TRUST.index)


def sources_of(origin: memory.Origin, id: str) -> list[str]:  # noqa: A002 - as it is called everywhere
    """Return everything that a row comes from, directly or not; who names no source is its own."""
    return sorted({origin.source or f"memory:{id}", *origin.derived_from})


def of_text(said: memory.Remembered, seq: int) -> Row:
    """Return the row of a text.

    :raises ValueError: its vector cannot be read.
    """
    piece = memory.Chunk(text=said.text, place=said.place, vector=said.vector)
    return _row(said.id, "", said, piece, seq, {"kind": said.kind, "n": 0})


def of_document(said: memory.Ingested, chunks: tuple[memory.Chunk, ...], seq: int) -> Iterator[Row]:
    """Yield the row of each chunk.

    :raises ValueError: a vector cannot be read.
    """
    for n, chunk in enumerate(chunks):
        yield _row(f"{said.id}.{n}", said.id, said, chunk, seq, {"kind": "document", "n": n})


def _row(
    id_: str, document: str, said: memory.Remembered | memory.Ingested, piece: memory.Chunk, seq: int, kind: Row
) -> Row:
    origin = said.origin
    row = {
        "id": id_,
        "document": document,
        "text": piece.text,
        "title": said.title,
        "audience": audience(origin.workspace, origin.scope, origin.owner),
        "scope": origin.scope,
        "owner": origin.owner,
        "workspace": origin.workspace,
        "trust": origin.trust,
        "source": origin.source or f"memory:{said.id}",
        "sources": sources_of(origin, said.id),
        "run": origin.run,
        "call": origin.call,
        "skill": origin.skill,
        "principal": origin.principal,
        "at_ms": origin.at_ms,
        "tags": list(said.tags),
        "labels": msgspec.json.encode(said.labels).decode(),
        "place": msgspec.json.encode(piece.place).decode(),
        "embedder": said.embedder,
        "seq": seq,
        "vector": vector.unpack(piece.vector),
    }
    return row | kind | {"hit": msgspec.json.encode(hit(row | kind)).decode()}
