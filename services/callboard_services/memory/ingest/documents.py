"""A document from its bytes or its URL to what is remembered of it. The same bytes again change nothing."""

import asyncio
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from mimetypes import guess_type
from pathlib import PurePosixPath
from typing import Any

import msgspec

from callboard import embed
from callboard.bus import Bus, layout, reader
from callboard_contracts import subjects, wire
from callboard_contracts.memory import Forgotten, Ingested, Origin
from callboard_services.memory.ingest import cut
from callboard_services.memory.ingest.fetch import fetch
from callboard_services.memory.ingest.headings import headings
from callboard_services.memory.ingest.parsed import Parsed, unreadable
from callboard_services.memory.ingest.reading import Reader
from callboard_services.memory.ingest.wanted import Answer, Wanted, origin_of, tags_of
from callboard_services.memory.rows import document_id
from callboard_services.memory.writer import Writer

MOST_CHUNKS = 20_000
_TITLE = 200


class Given(msgspec.Struct, frozen=True):
    """What a document came as."""

    name: str
    media_type: str
    data: bytes


class Documents:
    """Ingests documents. They are stored one at a time: of two versions at once, the later would win in parts."""

    def __init__(self, bus: Bus, writer: Writer) -> None:
        self._bus = bus
        self._writer = writer
        self._reader = Reader()
        self._one = asyncio.Lock()

    async def ingest(self, tenant: str, wanted: Wanted, data: bytes) -> Answer:
        """Remember a document, in place of what was known under its source.

        :raises CallboardError: why not. :raises BusError: it may be stored in parts, which nobody sees: do it again.
        """
        origin = origin_of(wanted)
        given = await _fetched(wanted) if wanted.url else Given(wanted.source, wanted.media_type, data)
        digest = (await asyncio.to_thread(sha256, given.data)).hexdigest()
        before = await self._before(tenant, document_id(origin))
        if before is not None and self._same(before, wanted, digest):
            return _told(before, "unchanged")
        parsed = await self._reader.read(given.name, given.media_type, given.data)
        document = _document(wanted, origin, given, parsed, digest)
        chunks = await asyncio.to_thread(cut.chunks, parsed, counted)
        if len(chunks) > MOST_CHUNKS:
            raise unreadable(f"it makes {len(chunks):,} chunks, {MOST_CHUNKS:,} is the most")
        document = msgspec.structs.replace(document, count=len(chunks))
        async with self._one:
            await self._writer.ingest(tenant, msgspec.structs.replace(document, chunks=tuple(chunks)))
        return _told(document, "new" if before is None else "changed")

    async def _before(self, tenant: str, id_: str) -> Ingested | None:
        found = await reader.last(self._bus, layout.MEMORY, subjects.memory(tenant, "document", id_))
        item = wire.decode(found.body, Ingested | Forgotten) if found else None
        return item if isinstance(item, Ingested) else None

    def _same(self, before: Ingested, wanted: Wanted, digest: str) -> bool:
        """Tell whether a document is remembered already, just so."""
        said = (before.digest, before.tags, before.origin.trust, before.embedder)
        again = (digest, tags_of(wanted), wanted.trust, self._writer.embedder.name)
        return said == again and wanted.title in ("", before.title)


async def _fetched(wanted: Wanted) -> Given:
    page = await fetch(wanted.url, allow_private=wanted.allow_private)
    return Given(PurePosixPath(page.url.partition("?")[0]).name, wanted.media_type or page.content_type, page.data)


def _document(wanted: Wanted, origin: Origin, given: Given, parsed: Parsed, digest: str) -> Ingested:
    return Ingested(
        id=document_id(origin),
        digest=digest,
        title=(wanted.title or parsed.title or _called(given.name, parsed))[:_TITLE],
        media_type=given.media_type.partition(";")[0].strip() or guess_type(given.name)[0] or "text/plain",
        bytes=len(given.data),
        origin=origin,
        tags=tags_of(wanted),
        count=0,
    )


def _called(name: str, parsed: Parsed) -> str:
    """Return what a document without a title is called: its first heading, when that is the one on top, or its file."""
    found = headings(parsed.text[:20_000]) if parsed.form == "markdown" else []
    return found[0].text if found and found[0].level == 1 else PurePosixPath(name).name


def _told(document: Ingested, state: str) -> Answer:
    return {
        "id": document.id,
        "source": document.origin.source,
        "title": document.title,
        "media_type": document.media_type,
        "digest": document.digest,
        "bytes": document.bytes,
        "chunks": document.count,
        "state": state,
    }


def counted(texts: Sequence[str]) -> list[int]:
    """Return how many tokens texts have for the built-in embedder; others differ little."""
    return [len(found.ids) for found in _tokenizer().encode_batch(list(texts), add_special_tokens=False)]


@cache
def _tokenizer() -> Any:
    found = embed.build_tokenizer()
    found.no_truncation()
    found.no_padding()
    return found
