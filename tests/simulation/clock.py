"""The wall clock, monotonic clock and dice of the simulated processes; nothing of the machine's shows through."""

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from unittest.mock import patch

from tests.simulation.loop import LIFE, VirtualLoop

EPOCH_S = 1_800_000_000
"""When every simulation begins, in seconds since 1970."""


def rfc3339(time_ns: int) -> str:
    """Return a time as the broker writes it."""
    fraction = f"{time_ns % 1_000_000_000:09d}".rstrip("0")
    return _second(time_ns // 1_000_000_000) + (f".{fraction}" if fraction else "") + "Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


@contextmanager
def virtual(loop: VirtualLoop, dice: Random) -> Iterator[None]:
    """Let every process see virtual time, its own wall clock's error included, and seeded randomness."""

    def wall() -> float:
        life = LIFE.get(None)
        return EPOCH_S + loop.time() + (life.skew_s if life is not None else 0.0)

    def token_hex(nbytes: int | None = None) -> str:
        return dice.randbytes(nbytes or 32).hex()

    with ExitStack() as stack:
        stack.enter_context(patch.object(time, "time", wall))
        stack.enter_context(patch.object(time, "monotonic", loop.time))
        stack.enter_context(patch.object(secrets, "token_hex", token_hex))
        yield
