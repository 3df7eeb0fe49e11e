"""A Merkle tree over tails: shows that one is among those that were signed, without showing the others. Pure.

Leaves and nodes are hashed apart (RFC 6962), so that no node can be taken for a leaf; an odd node goes up as it is.
"""

from collections.abc import Sequence
from hashlib import sha256

from callboard_contracts import wire
from callboard_contracts.audit import Tail

Step = tuple[str, str]
"""The side on which the other half stands, `l` or `r`, and its hash in hex."""


def leaf(tail: Tail) -> bytes:
    """Return the hash of a tail."""
    return sha256(b"\0" + wire.encode(tail)).digest()


def root(tails: Sequence[Tail]) -> str:
    """Return the root over tails, in hex; of none the hash of nothing."""
    level = [leaf(tail) for tail in tails]
    while len(level) > 1:
        level = _above(level)
    return (level[0] if level else sha256(b"").digest()).hex()


def path(tails: Sequence[Tail], index: int) -> tuple[Step, ...]:
    """Return what leads from a tail to the root."""
    level, found = [leaf(tail) for tail in tails], list[Step]()
    while len(level) > 1:
        other = index ^ 1
        if other < len(level):
            found.append(("r" if other > index else "l", level[other].hex()))
        level, index = _above(level), index // 2
    return tuple(found)


def climbed(tail: Tail, steps: Sequence[Step]) -> str:
    """Return the root to which a path leads, in hex.

    :raises ValueError: it is no path.
    """
    found = leaf(tail)
    for side, other in steps:
        half = bytes.fromhex(other)
        if side not in ("l", "r") or half.hex() != other:
            raise ValueError(f"{side!r} {other!r} is no step")
        found = _node(found, half) if side == "r" else _node(half, found)
    return found.hex()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _above(level: list[bytes]) -> list[bytes]:
    pairs = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return pairs + level[len(pairs) * 2 :]
