"""What befalls one seed: how the system is set up and which faults it meets. Drawn once, before anything runs.

Every kind of fault is in force in some seeds only: a fault that is always there hides what its absence would show.
"""

from random import Random
from typing import Literal

import msgspec

from tests.simulation.dice import dice
from tests.simulation.network import Weather

NODES = ("planner-1", "planner-2", "guard-1", "guard-2", "approval-1", "approval-2", "tools-1", "tools-2", "models-1")
_OF_WORKERS = ("before_record", "after_record", "after_command", "after_commands", "before_ack", "after_ack")
_OF_EXECUTORS = ("before_claim", "after_claim", "before_effect", "after_effect")
_OF_RESULTS = ("before_result", "after_result", "after_ack")
POINTS = (
    *(f"{actor}.{point}" for actor in ("planner", "guard", "approval") for point in _OF_WORKERS),
    *(f"executor.{point}" for point in (*_OF_EXECUTORS, *_OF_RESULTS)),
)
"""Every crash point that the processes pass."""
_SELDOM_PASSED = ("planner.after_command",) * 3

Kind = Literal["kill", "freeze", "cut", "stop", "broker"]


class Fault(msgspec.Struct, frozen=True):
    """Something that happens to a node, or to the broker, at a time and for a while (both in seconds)."""

    at_s: float
    kind: Kind
    node: str
    for_s: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a seed that is decided before it runs."""

    groups: int
    ack_wait_s: float
    """The silence after which the broker delivers again."""
    believed_ack_wait_s: float
    """What the executors think it is: more, and calls are delivered again while they run."""
    snapshot_every: int
    faults_end_s: float
    weather: Weather
    faults: tuple[Fault, ...]
    crash_chance: float
    """That a process dies at a crash point it passes, while there are faults."""
    crash_at: str
    """Where processes die most of the times they pass, whenever that is; empty: nowhere."""
    crash_times: int
    """How often."""
    forgets: int
    """How many acknowledgements a durable forgets when the broker is killed."""
    skews_s: tuple[float, ...]
    """How far the wall clock of a new process may be off."""


def draw(seed: int) -> Plan:
    """Return the plan of a seed."""
    chance, choice = dice(seed, "plan"), dice(seed, "crash")
    ack_wait_s = chance.choice((2.0, 4.0, 10.0))
    end_s = chance.uniform(3.0, 12.0)
    return Plan(
        groups=chance.choice((1, 2)),
        ack_wait_s=ack_wait_s,
        believed_ack_wait_s=ack_wait_s * chance.choice((1.0, 1.0, 6.0)),
        snapshot_every=chance.choice((1, 2, 5, 16)),
        faults_end_s=end_s,
        weather=_weather(chance),
        faults=tuple(sorted(_faults(chance, end_s), key=lambda fault: fault.at_s)),
        crash_chance=chance.choice((0.0, 0.0, 0.01, 0.03)),
        crash_at=choice.choice((*POINTS, *_SELDOM_PASSED)) if choice.random() < 0.5 else "",
        crash_times=choice.choice((1, 2, 4)),
        forgets=chance.choice((0, 0, 4, 32)),
        skews_s=chance.choice(((0.0,), (0.0,), (0.0, -3600.0, 3600.0))),
    )


def _weather(chance: Random) -> Weather:
    def sometimes(most: float) -> float:
        return chance.random() * most if chance.random() < 0.4 else 0.0

    return Weather(
        slow=sometimes(0.1),
        stuck=sometimes(0.01),
        lost_publish=sometimes(0.03),
        lost_puback=sometimes(0.06),
        lost_ack=sometimes(0.15),
        lost_delivery=sometimes(0.05),
        lost_answer=sometimes(0.02),
        doubled=sometimes(0.3),
    )


def _faults(chance: Random, end_s: float) -> list[Fault]:
    found: list[Fault] = []
    kinds: tuple[tuple[Kind, int, float], ...] = (
        ("kill", 6, 3.0),
        ("freeze", 2, 30.0),
        ("cut", 4, 3.0),
        ("stop", 2, 2.0),
        ("broker", 2, 2.0),
    )
    for kind, most, longest_s in kinds:
        if chance.random() < 0.4:
            for _ in range(chance.randint(1, most)):
                node = "" if kind == "broker" else chance.choice(NODES)
                for_s = longest_s if chance.random() < 0.05 else chance.uniform(0.01, min(longest_s, 8.0))
                found.append(Fault(chance.uniform(0.2, end_s), kind, node, for_s))
    return found
