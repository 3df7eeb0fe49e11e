"""The turn protocol, seen from the actor: what it is given and what it may answer.

An actor is a few pure functions. The runtime reads an input, loads the state as of the actor's last record, asks
`decide`, appends the events as one fenced record, sends what `commands` derives from that record, and acknowledges
the input last. A crash anywhere leads to redelivery; then `decide` says `SEEN`, the runtime finds the record that the
input caused and sends its commands again, under the same ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from callboard_contracts import subjects
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts

DEAD_CODES: Final = frozenset({"conflict", "invalid_id", "not_granted", "undecodable"})
"""Error codes with which an actor may set a message aside."""


class Input(msgspec.Struct, frozen=True):
    """One message as an actor sees it: nothing here changes when it is delivered again."""

    id: str
    """Its `ce-id`, or where it is stored: the cause that a record names."""
    address: subjects.Address
    """Whom it concerns."""
    body: Any
    seq: int
    """Its sequence in the journal (or in GOALS)."""
    time_ms: int
    """When the broker stored it, ms since 1970: the only clock an actor has."""
    blobs: Mapping[str, bytes] = {}
    """Content by digest, of what the body only refers to."""
    records: Mapping[int, Record] = {}
    """Earlier records by sequence, of what the body only refers to."""
    traceparent: str = ""


class Seen(msgspec.Struct, frozen=True):
    """This input has had its turn, or concerns nothing that is still open."""


class Dead(msgspec.Struct, frozen=True):
    """This input can never have a turn: it goes to the dead letters with its reason."""

    code: str
    reason: str


class Later(msgspec.Struct, frozen=True):
    """What this input builds on has not come yet: the broker delivers it again."""


SEEN: Final = Seen()
LATER: Final = Later()
Decision = tuple[Event, ...] | Seen | Dead | Later


class Command(msgspec.Struct, frozen=True):
    """A message that follows from a record."""

    subject: str
    id: str
    body: msgspec.Struct
    once: bool = False
    """Fenced at 0 on its own subject: sent again, it is refused, and that is well."""


S = TypeVar("S")


class Actor(Protocol[S]):
    """One kind of actor. All methods are pure."""

    name: str
    """The service, and the durable it pulls from."""
    kind: subjects.Actor
    """Its token in subjects."""

    def initial(self) -> S:
        """Return the state before the first record."""

    def decide(self, state: S, message: Input, facts: Facts) -> Decision:
        """Say what happens. Never raises for any input that could be decoded."""

    def evolve(self, state: S, event: Event) -> S:
        """Return the state after an event."""

    def lane(self, events: Sequence[Event]) -> str:
        """Return the kind under which a record of these events is stored."""

    def commands(self, address: subjects.Address, record: Record) -> Sequence[Command]:
        """Return what follows from a record. Depends on nothing else."""

    def needs(self, body: Any) -> Sequence[str]:
        """Return the digests of blobs without whose content this body, or a record it leads to, cannot be decided."""

    def reads(self, state: S, body: Any) -> Sequence[int]:
        """Return the sequences of the tree's earlier records without which this body cannot be decided."""

    def begins(self, body: Any) -> bool:
        """Tell whether this body is usually the first of its actor, so that there is no state to look for."""

    def timer_ms(self, state: S) -> int:
        """Return when the actor's one timer is due (ms since 1970), 0 when it wants none."""

    def finished(self, state: S) -> bool:
        """Tell whether the actor is done: its last record then holds its whole state, so that the rest may go."""

    def snapshot(self, state: S) -> bytes:
        """Return the state as JSON, without what the first record already holds."""

    def restore(self, snapshot: bytes, genesis: Record) -> S:
        """Return the state of a snapshot; `genesis` is the actor's first record."""
