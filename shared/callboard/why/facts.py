"""What is known of a run that is asked about: its last records, the guard's, and who lives to go on with it."""

from typing import Literal

import msgspec

from callboard_contracts.dead import Letter
from callboard_contracts.journal import Event

Lane = Literal["goals", "planner", "guard", "approval"]
"""The queues of the core: goals, inputs of runs, inputs of trees, inputs of requests to people."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it was stored."""

    seq: int
    time_ms: int
    run: str
    """Whom it is about; a tree's mixed record names the root."""
    causes: tuple[str, ...]
    events: tuple[Event, ...]
    genesis: int = 0
    """Of the run's first record, where this one says it."""


class Came(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a run, stored whether or not somebody took it."""

    seq: int
    time_ms: int
    call: str
    """Of a result: whose it is."""
    kind: str
    """`result`, `child`, `cancel`, …"""


class Durable(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as the broker knows it."""

    pulls: int = 0
    """How many standing pulls wait for work: 0 means that nobody takes from it, or whoever does is full."""
    pending: int = 0
    """What was never delivered."""
    unanswered: int = 0
    """What was delivered and not acknowledged."""
    delivered: int = 0
    """The last sequence that was delivered."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything from which the reason follows."""

    now_ms: int
    run: str
    records: tuple[Stored, ...] = ()
    """The run's own since it last asked its model, oldest first; none: it has not begun."""
    tree: tuple[Stored, ...] = ()
    """The guard's since then, oldest first; further back when the run is paused."""
    came: tuple[Came, ...] = ()
    """The run's inputs since then."""
    queued_ms: int | None = None
    """Since when its goal waits in the queue; None: it does not."""
    lanes: dict[str, Durable] = {}
    """By `Lane`."""
    queues: dict[str, Durable] = {}
    """By tool: what its executors pull from."""
    executors: dict[str, int] = {}
    """By tool: how many answered just now."""
    known: frozenset[str] = frozenset()
    """The tools that the registry has."""
    problems: dict[str, str] = {}
    """By tool: why the registry does not admit it."""
    granted_at: dict[str, int] = {}
    """By call: the sequence of the message that its executors pull."""
    people: dict[str, tuple[Stored, ...]] = {}
    """By call that waits for people: the records of the request, oldest first; none: nobody was asked yet."""
    letters: tuple[Letter, ...] = ()
    """Dead letters that concern the run."""
    children: dict[str, "Facts"] = {}
    """By call: the facts of a sub-agent that has not answered."""
