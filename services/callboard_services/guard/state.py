"""A tree as the guard knows it: its envelope, its runs, and what is reserved. A fold of its own records."""

import msgspec

from callboard_contracts import guard, ids, names
from callboard_contracts.goal import Limits
from callboard_contracts.units import MicroUsd


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run of the tree that has not ended."""

    turn: int = 0
    """The last turn whose calls are decided."""
    tools: tuple[str, ...] | None = None
    skill_digest: str = ""
    slice_micro_usd: MicroUsd | None = None
    used_micro_usd: MicroUsd = 0
    """Committed and reserved by this run and its descendants."""
    accepted: int = 0
    """The sequence of its first record."""
    ended: bool = False
    """It ended, and waits for calls that had not answered."""
    until_ms: int = 0
    """How long it waits for them."""


class Reserved(msgspec.Struct, frozen=True):
    """The worst case of a granted call."""

    micro_usd: MicroUsd
    tokens: int
    tool: str
    expires_ms: int = 0

    @property
    def agent(self) -> bool:
        """Whether the call is a sub-agent."""
        return self.tool == names.AGENT


class Held(msgspec.Struct, frozen=True):
    """Calls of a run that are neither granted nor refused yet."""

    sources: tuple[int, ...]
    """The sequences of the records that asked for them."""


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call that people must decide about."""

    source: int
    """The sequence of the record that asked for it."""
    digest: str
    """What they were asked about; see `approval.binding`."""
    fails: bool = False
    """Its run is to end when nobody decides in time."""
    decision: guard.Decide | None = None
    """They approved while its run was paused."""


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tree after its last record. *committed + reserved ≤ limit* holds at every one, overruns aside."""

    limits: Limits | None = None
    closed: bool = False
    traceparent: str = ""
    committed_micro_usd: MicroUsd = 0
    tokens: int = 0
    calls: int = 0
    cancelled: tuple[str, ...] = ()
    """Runs that were cancelled, with all their descendants: those that come late, too."""
    paused: tuple[str, ...] = ()
    """Runs that were paused, with all their descendants."""
    nth: int = 0
    """How many pauses and resumptions there were."""
    said: tuple[str, ...] = ()
    """The last wishes that were recorded: said again, they change nothing."""
    held: dict[str, Held] = {}
    """Run → its calls that are held because it is paused."""
    asked: dict[str, Asked] = {}
    """Call → what people were asked about it."""
    waits: int = 0
    """How often it changed what waits for people."""
    started: int = 0
    """How many runs the tree has had."""
    runs: dict[str, Run] = {}
    over: tuple[str, ...] = ()
    """Runs that are closed: all that they said is decided."""
    unopened: dict[str, int] = {}
    """Runs that were never opened → the last turn whose calls were refused."""
    reserved: dict[str, Reserved] = {}
    reserved_micro_usd: MicroUsd = 0
    reserved_tokens: int = 0

    def is_cancelled(self, run: str) -> bool:
        """Tell whether a run or one of its ancestors was cancelled."""
        return bool(self.cancelled) and any(name in self.cancelled for name in ids.lineage(run))

    def decided(self, run: str) -> int:
        """Return the last turn of a run whose calls are decided."""
        known = self.runs.get(run)
        return known.turn if known is not None else self.unopened.get(run, 0)

    def is_over(self, run: str) -> bool:
        """Tell whether a run is closed."""
        return run in self.over or (self.closed and "-" not in run)

    def is_paused(self, run: str) -> bool:
        """Tell whether a run or one of its ancestors is paused."""
        return bool(self.paused) and any(name in self.paused for name in ids.lineage(run))

    @property
    def envelope(self) -> Limits:
        """The limits of a tree that was opened.

        :raises LookupError: it was not, which is a bug of ours.
        """
        if self.limits is None:
            raise LookupError("the tree was never opened")
        return self.limits
