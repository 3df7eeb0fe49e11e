"""What happened in a simulation, in order: every message the broker stored, and beside it the faults and effects."""

from collections.abc import Callable
from hashlib import blake2b, sha256

import msgspec

from tests.simulation.streams import Stored, Stream

_SHOWN = 150


class Kept(msgspec.Struct, frozen=True):
    """One stored message."""

    time_ns: int
    stream: str
    seq: int
    subject: str
    digest: str


class Trace:
    """Grows as the simulation goes. `told` are lines for people, only kept when somebody wants to read them.

    :param now: the virtual time, in seconds.
    """

    def __init__(self, now: Callable[[], float], *, readable: bool) -> None:
        self.stored: list[Kept] = []
        self.told: list[str] = []
        self._now = now
        self._readable = readable

    def store(self, stream: Stream, stored: Stored) -> None:
        """Take note of a stored message."""
        digest = blake2b(stored.body, digest_size=8).hexdigest()
        self.stored.append(Kept(stored.time_ns, stream.name, stored.seq, stored.subject, digest))
        if self._readable:
            body = stored.body[:_SHOWN].decode(errors="replace")
            self.note(f"{stream.name}#{stored.seq:<4} {stored.subject}  {body}")

    def note(self, line: str) -> None:
        """Take note of a fault, an effect, a life's beginning or end."""
        if self._readable:
            self.told.append(f"{self._now():9.3f}  {line}")

    def digest(self) -> str:
        """Return what two equal traces have in common."""
        return sha256(msgspec.json.encode(self.stored)).hexdigest()
