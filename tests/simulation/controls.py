"""What people say to a tree while it works. To add a word, add a line to `CONTROLS`: how often, and what is said."""

from collections.abc import Callable, Sequence
from random import Random

import msgspec

from callboard_contracts import guard, run, subjects
from tests.simulation.progress import Asked

TENANT = "sim"


class Said(msgspec.Struct, frozen=True):
    """One message: how long after the first of its kind it is published, where, and what it says."""

    after_s: float
    subject: str
    body: msgspec.Struct


Control = Callable[[str, Sequence[Asked], Random], list[Said]]
"""Takes a run, what it asked for so far, and dice."""


def to_tree(name: str, body: msgspec.Struct, after_s: float = 0.0) -> Said:
    """Return a word to the guard about a run."""
    return Said(after_s, str(subjects.Address.of_tree(TENANT, name).at("in", "control")), body)


def _cancel(name: str, _: Sequence[Asked], __: Random) -> list[Said]:
    return [to_tree(name, guard.Cancel(run=name, reason="enough", principal="somebody"))]


def _pause(name: str, _: Sequence[Asked], chance: Random) -> list[Said]:
    resume = to_tree(name, guard.Resume(run=name), chance.expovariate(0.5))
    return [to_tree(name, guard.Pause(run=name, reason="wait")), resume]


def _steer(name: str, _: Sequence[Asked], chance: Random) -> list[Said]:
    return [to_tree(name, guard.Steer(run=name, text=f"think of {chance.randint(1, 9)}"))]


def _retry(name: str, asked: Sequence[Asked], chance: Random) -> list[Said]:
    if not asked:
        return []
    which = chance.choice(asked)
    where = subjects.Address.of_run(TENANT, name).at("in", "signal")
    return [Said(0.0, str(where), run.Retry(call=which.call, source=which.source))]


CONTROLS: tuple[tuple[int, Control], ...] = ((3, _cancel), (3, _pause), (2, _steer), (2, _retry))
