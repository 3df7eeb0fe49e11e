"""The journal's one message: a record is one turn of one actor."""

from base64 import urlsafe_b64encode
from hashlib import sha256

import msgspec

from callboard_contracts import approval, guard, run

Event = run.Event | guard.Event | approval.Event


class Record(msgspec.Struct, tag="journal.record.v1", frozen=True, kw_only=True, omit_defaults=True):
    """One turn: what caused it and what happened. It is fenced on the actor's last record.

    That record's sequence (`prev`) is in the header `Nats-Expected-Last-Subject-Sequence`, which the broker stores.
    """

    causes: tuple[str, ...]
    """The `ce-id` of every input that this turn took."""
    events: tuple[Event, ...]
    facts: int = 0
    """The revision of the registry that the decision saw."""
    state: msgspec.Raw = msgspec.Raw(b"")
    """Every so often: the actor's state after this record, from which a reader may start."""
    link: str = ""
    """The digest of the actor's record before this one, as it was stored: who changes one breaks all that follow."""
    genesis: int = 0
    """With `state`: the sequence of the actor's first record, which a snapshot does not repeat."""


def granted(record: Record) -> guard.Granted | None:
    """Return the grant that an executor finds in a record it pulled."""
    return next((event for event in record.events if isinstance(event, guard.Granted)), None)


def link_of(body: bytes) -> str:
    """Return the digest by which the next record names a record: 128 bits of SHA-256 in base64url."""
    return urlsafe_b64encode(sha256(body).digest()[:16]).decode().rstrip("=")
