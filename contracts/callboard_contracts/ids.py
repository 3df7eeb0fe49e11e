"""Ids follow from causes: a call's id is `<run>-<turn>-<index>`, a sub-agent's run id is its call's id.

A root run's id is its goal's ULID (26 characters of Crockford base32), so every id names its tree, its parent
and its depth without a look-up, and is one subject token.
"""

import re
import zlib
from functools import lru_cache
from hashlib import sha256

PARTITIONS = 64
"""Fixed for ever: the partition of a tree is part of its subjects."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_RUN = re.compile(_ULID.pattern + r"(-[1-9][0-9]*-[0-9]+)*")
_CALL = re.compile(_ULID.pattern + r"(-[1-9][0-9]*-[0-9]+)+")


def ulid(milliseconds: int, entropy: bytes) -> str:
    """Return the ULID of a time (ms since 1970) and ten bytes of randomness (https://github.com/ulid/spec)."""
    number = (milliseconds << 80) | int.from_bytes(entropy[:10], "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_ulid(text: str) -> bool:
    """Tell whether `text` is a ULID in its canonical upper case."""
    return _ULID.fullmatch(text) is not None


def is_run(text: str) -> bool:
    """Tell whether `text` can be the id of a run."""
    return _RUN.fullmatch(text) is not None


def is_call(text: str) -> bool:
    """Tell whether `text` can be the id of a call."""
    return _CALL.fullmatch(text) is not None


def ulid_ms(text: str) -> int:
    """Return the time (ms since 1970) in a ULID or in any id that starts with one."""
    number = 0
    for letter in text[:10]:
        number = number * 32 + _CROCKFORD.index(letter)
    return number


def call_id(run: str, turn: int, index: int) -> str:
    """Return the id of the `index`-th call that `run` asked for in its turn `turn`."""
    return f"{run}-{turn}-{index}"


def run_of(call: str) -> str:
    """Return the run that asked for `call`; for a sub-agent's run id: its parent."""
    return call.rsplit("-", 2)[0]


def turn_of(call: str) -> int:
    """Return the turn in which `call` was asked for."""
    return int(call.rsplit("-", 2)[1])


def tree_of(run: str) -> str:
    """Return the tree (the root run) of a run or call."""
    return run.split("-", 1)[0]


def depth_of(run: str) -> int:
    """Return how many parents a run has: 0 for a root."""
    return run.count("-") // 2


def lineage(run: str) -> tuple[str, ...]:
    """Return the run and its ancestors, the root last."""
    found = [run]
    while "-" in found[-1]:
        found.append(run_of(found[-1]))
    return tuple(found)


@lru_cache(maxsize=4096)
def partition(tree: str) -> int:
    """Return the partition of a tree: crc32 modulo 64, the same for all its descendants."""
    return zlib.crc32(tree.encode()) % PARTITIONS


def trace_id(tree: str) -> str:
    """Return the W3C trace id of a tree: its ULID's 128 bits in hex, so that nobody has to remember it."""
    number = 0
    for letter in tree:
        number = number * 32 + _CROCKFORD.index(letter)
    return f"{number:032x}"


def span_id(cause: str) -> str:
    """Return the W3C span id of a call: the first 64 bits of its id's SHA-256, never zero."""
    digest = sha256(cause.encode()).hexdigest()[:16]
    return digest if int(digest, 16) else f"{1:016x}"
