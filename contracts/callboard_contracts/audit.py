"""A checkpoint: the ledger's signature under how far every actor's records go, so that a cut end can be proved.

Each record names the digest of the one before it. That shows a record that was changed, left out or moved, but not
that the last ones are missing. A checkpoint signs the last record of each actor that moved since the one before it.
"""

import msgspec

Tail = tuple[str, int, str]
"""An actor (`<tenant>.<run|tree|approval>.<key>`), the sequence of its last record, and that record's digest."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed: the JSON of this, with the fields in this order and no white space."""

    stream: str
    """The journal."""
    created: str
    """When that stream was made, which tells it from another of its name."""
    nth: int
    """How many checkpoints the journal has had, with this one."""
    last: int
    """The sequence up to which records are covered."""
    tails: int
    """How many actors moved since the checkpoint before."""
    root: str
    """The Merkle root over their tails, SHA-256 in hex."""
    prev: str
    """The SHA-256 of the head of the checkpoint before this one, in hex; empty for the first."""
    at_ms: int
    """When it was made, in ms since 1970, by the signer's clock."""
    key: str
    """The signer's public key, Ed25519 in hex."""


class Checkpoint(msgspec.Struct, tag="audit.checkpoint.v1", frozen=True, kw_only=True):
    """How far a journal went, signed. Each actor's tail can be shown to be in it without showing the others'."""

    head: Head
    """What is signed."""
    signature: str
    """Of the head, Ed25519 in hex."""
    tails: tuple[Tail, ...]
    """Of the actors that moved, in the order of their names: the leaves of the Merkle tree."""
