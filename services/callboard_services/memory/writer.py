"""The only way into the stream MEMORY. What is acknowledged is stored; said again, it changes nothing.

Forgetting overwrites the message on the broker's disk before a tombstone takes its place.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec

from callboard import crash
from callboard.bus import Bus, Conflict, PublishRefused, layout, reader
from callboard_contracts import memory, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_services.memory.embedding import Embedder
from callboard_services.memory.places import divided, read_as, subject_of

_TTL: Final = "Nats-TTL"
_DAYS: Final = "2592000s"
"""A tombstone stays for 30 days: tables that were left alone for half of it are folded anew."""
_WINDOW = 32
_NO_MESSAGE = (10037, 10043, 10057)

Said = memory.Remembered | memory.Ingested | memory.Forgotten | memory.Read | memory.Quarantined | memory.Released


class Writer:
    """Says what is remembered and what is forgotten."""

    def __init__(self, bus: Bus, embedder: Embedder) -> None:
        self._bus = bus
        self.embedder = embedder

    async def remember(self, tenant: str, *said: memory.Remembered) -> None:
        """Store texts, embedding those that have no vector. The same id replaces what it was.

        :raises CallboardError: the embedder fails, or a text is too large. :raises BusError: not all of it is stored.
        """
        vectors = iter(await self._vectors([one.text for one in said if not one.vector]))
        for one in said:
            if not one.vector:
                one = msgspec.structs.replace(one, vector=next(vectors), embedder=self.embedder.name)  # noqa: PLW2901
            await self.publish(subject_of(tenant, one), one)

    async def remember_once(self, tenant: str, said: memory.Remembered) -> None:
        """Store a text unless it is there, or was forgotten meanwhile: its id is that of the call that said it.

        :raises CallboardError: the embedder fails. :raises BusError: it is not known to be stored: do it again.
        """
        where = subject_of(tenant, said)
        if await reader.last(self._bus, layout.MEMORY, where) is not None:
            return
        said = msgspec.structs.replace(said, vector=(await self._vectors([said.text]))[0], embedder=self.embedder.name)
        crash.point("memory.before_write")
        with contextlib.suppress(Conflict):
            await self.publish(where, said, fence=0)
        crash.point("memory.after_write")

    async def ingest(self, tenant: str, document: memory.Ingested, *, instead_of: int | None = None) -> None:
        """Store a document whose chunks have no vectors yet, in place of an older version of it.

        :param instead_of: the sequence of the only version that it may replace; absent: whatever is there.
        :raises CallboardError: the embedder fails. :raises Conflict: another version was stored meanwhile.
        :raises BusError: not all of it is stored: do it again.
        """
        where = subject_of(tenant, document)
        before = await self._seq(where) if instead_of is None else instead_of
        vectors = await self._vectors([read_as(document.title, chunk) for chunk in document.chunks])
        chunks = tuple(msgspec.structs.replace(c, vector=v) for c, v in zip(document.chunks, vectors, strict=True))
        said, parts = divided(document, chunks, self.embedder.name)
        await self._store_parts(tenant, said, parts)
        crash.point("memory.after_parts")
        try:
            await self.publish(where, said, fence=before)
        finally:
            crash.point("memory.after_document")
            await self._erase_parts(tenant, document.id, keep=await self._version(where))

    async def _store_parts(self, tenant: str, said: memory.Ingested, parts: Sequence[bytes]) -> None:
        headers = {wire.TYPE: wire.type_of(memory.Part)}
        places = [subjects.memory(tenant, "part", said.id, said.version, str(n)) for n in range(len(parts))]
        for start in range(0, len(parts), _WINDOW):
            some = range(start, min(start + _WINDOW, len(parts)))
            await asyncio.gather(*(self._bus.publish(places[n], parts[n], headers) for n in some))

    async def _seq(self, where: str) -> int:
        found = await reader.last(self._bus, layout.MEMORY, where)
        return found.seq if found else 0

    async def _version(self, where: str) -> str:
        """Return the version of the document that counts now; empty when none has parts."""
        found = await reader.last(self._bus, layout.MEMORY, where)
        if found is None or found.headers.get(wire.TYPE) != wire.type_of(memory.Ingested):
            return ""
        return wire.decode(found.body, memory.Ingested).version

    async def forget(self, tenant: str, where: str, tombstone: memory.Forgotten) -> None:
        """Replace what stands under a subject, and a document's parts, by nothing.

        :raises BusError: some of it may still be there: do it again.
        """
        await self._erase(where)
        crash.point("memory.after_erase")
        await self.publish(where, tombstone, ttl=_DAYS)
        await self._erase_parts(tenant, tombstone.id)

    async def publish(self, where: str, said: Said, *, ttl: str = "", fence: int | None = None) -> int:
        """Store one message and return its sequence. With `fence`, only after the message of that sequence.

        :raises CallboardError: `invalid_request`, it is too large. :raises BusError: it is not known to be stored.
        """
        headers = {wire.TYPE: wire.type_of(type(said))} | ({_TTL: ttl} if ttl else {})
        if fence is not None:
            headers[wire.FENCE] = str(fence)
        try:
            return (await self._bus.publish(where, wire.encode(said), headers)).seq
        except PublishRefused as error:
            if not error.code:
                raise CallboardError("invalid_request", f"it is too large to be remembered: {error}") from None
            raise

    async def _vectors(self, texts: Sequence[str]) -> list[str]:
        return await self.embedder.embed(texts) if texts else []

    async def _erase(self, where: str) -> None:
        """Overwrite a stored message with random bytes. None, or one that is no text any more, is left."""
        found = await reader.last(self._bus, layout.MEMORY, where)
        if found is None or found.headers.get(wire.TYPE) == wire.type_of(memory.Forgotten):
            return
        try:
            await self._bus.api(f"STREAM.MSG.DELETE.{layout.MEMORY}", {"seq": found.seq, "no_erase": False})
        except PublishRefused as error:
            if error.code not in _NO_MESSAGE:  # another process was first
                raise

    async def _erase_parts(self, tenant: str, document: str, keep: str = "") -> None:
        every = reader.scan(self._bus, layout.MEMORY, subjects.memory(tenant, "part", document, ">"))
        places = [part.stored_subject async for part in every]
        for where in places:
            if not keep or where.split(".")[5] != keep:
                await self._erase(where)
