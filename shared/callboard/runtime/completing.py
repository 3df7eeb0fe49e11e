"""What an input only refers to is fetched before it is decided: blobs by digest, earlier records by sequence."""

from typing import Any

import msgspec

from callboard.actor import Actor, Input
from callboard.bus import Bus, objects
from callboard.runtime.journal import Journal


class Completer:
    """Completes the inputs of one kind of actor."""

    def __init__(self, bus: Bus, journal: Journal[Any], actor: Actor[Any]) -> None:
        self._bus = bus
        self._journal = journal
        self._actor = actor

    def refers(self, state: Any, body: Any) -> bool:
        """Tell whether something has to be fetched."""
        return bool(self._actor.needs(body) or self._actor.reads(state, body))

    async def complete(self, state: Any, message: Input) -> Input:
        """Return an input with everything that its decision needs.

        :raises BusError: the broker does not answer. :raises CallboardError: a blob is not there.
        """
        wanted = self._actor.reads(state, message.body)
        found = {seq: await self._journal.read(message.address, seq) for seq in wanted}
        records = {seq: record for seq, record in found.items() if record is not None}
        needed = [digest for body in (message.body, *records.values()) for digest in self._actor.needs(body)]
        if not needed and not records:
            return message
        blobs = {digest: await objects.get_blob(self._bus, digest) for digest in needed}
        return msgspec.structs.replace(message, blobs=blobs, records=records)
