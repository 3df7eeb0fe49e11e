"""The checkpoints of one journal: a chain in AUDIT, each fenced on the one before, whoever makes them.

Invariant: up to `pending.signed` every record's actor has a checkpoint that names it or a later one of that actor.
"""

import time
from hashlib import sha256

import structlog

from callboard import crash
from callboard.audit import merkle
from callboard.audit.signing import Signer
from callboard.bus import Bus, Conflict, Delivery, layout, reader
from callboard_contracts import subjects, wire
from callboard_contracts.audit import Checkpoint, Head
from callboard_services.ledger.audit.pending import Pending

log = structlog.get_logger()

_EVERY = "cb.*.*.*.*.*.log.>"
_BATCH = 256


class SignedJournal:
    """One journal, and what of it is signed."""

    def __init__(self, bus: Bus, stream: str, created: str) -> None:
        self.stream = stream
        self.pending = Pending(0)
        self.caught_up = False
        """Everything after the last checkpoint was seen: without it none may be made."""
        self.newest: Head | None = None
        self.made_at = time.monotonic()
        self._bus = bus
        self._created = created
        self._subject = subjects.audit(stream)
        self._at = 0
        """Where in AUDIT the newest checkpoint is."""

    async def start(self, position: int, last: int) -> None:
        """Find what is signed, and see what is not, up to `position`: what comes after it is watched.

        :raises BusError: the broker does not answer; start again.
        """
        await self._look()
        head = self.newest
        signed = head.last if head is not None and head.created == self._created else 0
        if signed > last:
            log.error("the journal ends before what was signed of it", stream=self.stream, signed=signed, ends=last)
            signed = last
        self.pending.sign(signed)
        batch: list[Delivery] = []
        async for found in reader.scan(self._bus, self.stream, _EVERY, signed + 1):
            if found.seq > position:
                break
            batch.append(found)
            if len(batch) == _BATCH:
                self.pending.see(batch)
                batch = []
        self.pending.see(batch)
        self.caught_up = True

    async def make(self, signer: Signer) -> bool:
        """Sign what is pending, as much as a checkpoint holds. False: another ledger did; look again.

        :raises BusError: it may be stored; look again.
        """
        tails, last = self.pending.next()
        head = self._head(signer, tails, last)
        signed = Checkpoint(head=head, signature=signer.sign(wire.encode(head)), tails=tails)
        headers = {wire.FENCE: str(self._at), wire.FENCE_SUBJECT: self._subject}
        crash.point("ledger.before_checkpoint")
        try:
            self._at = (await self._bus.publish(self._subject, wire.encode(signed), headers)).seq
        except Conflict:
            await self._look()
            return False
        crash.point("ledger.after_checkpoint")
        self._took(head)
        return True

    def _head(self, signer: Signer, tails: tuple[tuple[str, int, str], ...], last: int) -> Head:
        before = self.newest
        return Head(
            stream=self.stream,
            created=self._created,
            nth=before.nth + 1 if before is not None else 1,
            last=last,
            tails=len(tails),
            root=merkle.root(tails),
            prev=sha256(wire.encode(before)).hexdigest() if before is not None else "",
            at_ms=time.time_ns() // 1_000_000,
            key=signer.public,
        )

    async def _look(self) -> None:
        """Read the newest checkpoint, which another ledger may have made."""
        found = await reader.last(self._bus, layout.AUDIT, self._subject)
        if found is not None and found.seq != self._at:
            self._at = found.seq
            self._took(wire.decode(found.body, Checkpoint).head)

    def _took(self, head: Head) -> None:
        self.newest, self.made_at = head, time.monotonic()
        if head.created == self._created:
            self.pending.sign(head.last)
