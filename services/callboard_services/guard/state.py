"""A tree as the guard knows it: its envelope, its runs, and what is reserved. A fold of its own records."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from callboard_contracts import guard, ids, run
from callboard_contracts.goal import Limits
from callboard_contracts.journal import Event
from callboard_contracts.units import MicroUsd


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the tree that has not ended."""

    turn: int = 0
    """The last turn whose calls are decided."""
    tools: tuple[str, ...] | None = None
    skill_digest: str = ""
    slice_micro_usd: MicroUsd | None = None
    used_micro_usd: MicroUsd = 0
    """Committed and reserved by this run and its descendants."""


class Reserved(msgspec.Struct, frozen=True):
    """The worst case of a granted call."""

    micro_usd: MicroUsd
    tokens: int
    tool: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The tree after its last record. *committed + reserved ≤ limit* holds at every one, overruns aside."""

    limits: Limits | None = None
    closed: bool = False
    committed_micro_usd: MicroUsd = 0
    tokens: int = 0
    calls: int = 0
    cancelled: tuple[str, ...] = ()
    """Runs that were cancelled, with all their descendants: those that come late, too."""
    started: int = 0
    """How many runs the tree has had."""
    runs: dict[str, Run] = {}
    reserved: dict[str, Reserved] = {}
    reserved_micro_usd: MicroUsd = 0
    reserved_tokens: int = 0

    def is_cancelled(self, run: str) -> bool:
        """Tell whether a run or one of its ancestors was cancelled."""
        return bool(self.cancelled) and any(name in self.cancelled for name in ids.lineage(run))

    @property
    def envelope(self) -> Limits:
        """The limits of a tree that was opened.

        :raises LookupError: it was not, which is a bug of ours.
        """
        if self.limits is None:
            raise LookupError("the tree was never opened")
        return self.limits


def evolve(state: State, event: Event) -> State:
    """Return the tree after an event of its own log."""
    match event:
        case guard.Opened():
            return _opened(state, event)
        case guard.Granted():
            return _granted(state, event)
        case guard.Refused():
            return _decided(state, event.call)
        case guard.Settled():
            return _settled(state, event)
        case guard.Cancelled():
            return msgspec.structs.replace(state, cancelled=(*state.cancelled, event.run))
        case guard.Closed():
            return _closed(state, event)
        case _ if isinstance(event, run.Event):
            return state  # never in a tree's own log
        case _:
            assert_never(event)


def fold(state: State, events: Iterable[Event]) -> State:
    """Return the tree after several events."""
    for event in events:
        state = evolve(state, event)
    return state


def _opened(state: State, event: guard.Opened) -> State:
    root = not event.parent
    run = Run(
        tools=event.tools,
        skill_digest=event.skill_digest,
        slice_micro_usd=None if root else event.limits.budget_micro_usd,
    )
    return msgspec.structs.replace(
        state,
        limits=event.limits if root else state.limits,
        runs=state.runs | {event.run: run},
        started=state.started + 1,
    )


def _granted(state: State, event: guard.Granted) -> State:
    call = event.call.id
    state = _decided(state, call)
    kept = Reserved(event.reserved_micro_usd, event.reserved_tokens, event.call.tool)
    return msgspec.structs.replace(
        state,
        calls=state.calls + 1,
        reserved=state.reserved | {call: kept},
        reserved_micro_usd=state.reserved_micro_usd + kept.micro_usd,
        reserved_tokens=state.reserved_tokens + kept.tokens,
        runs=_charge(state.runs, call, kept.micro_usd),
    )


def _decided(state: State, call: str) -> State:
    run, turn = ids.run_of(call), ids.turn_of(call)
    known = state.runs.get(run)
    if known is None or known.turn >= turn:
        return state
    return msgspec.structs.replace(state, runs=state.runs | {run: msgspec.structs.replace(known, turn=turn)})


def _charge(runs: dict[str, Run], call: str, amount: MicroUsd) -> dict[str, Run]:
    """Add to what the asking run and its ancestors use, as far as one of them has a slice."""
    if not amount or all(run.slice_micro_usd is None for run in runs.values()):
        return runs
    found = {name: runs[name] for name in ids.lineage(ids.run_of(call)) if name in runs}
    return runs | {
        name: msgspec.structs.replace(run, used_micro_usd=run.used_micro_usd + amount) for name, run in found.items()
    }


def _settled(state: State, event: guard.Settled) -> State:
    for call, cost, tokens in event.entries:
        kept = state.reserved.get(call)
        if kept is not None:
            state = _settle(state, call, kept, cost, tokens)
    return state


def _settle(state: State, call: str, kept: Reserved, cost: MicroUsd, tokens: int) -> State:
    return msgspec.structs.replace(
        state,
        reserved={name: other for name, other in state.reserved.items() if name != call},
        reserved_micro_usd=state.reserved_micro_usd - kept.micro_usd,
        reserved_tokens=state.reserved_tokens - kept.tokens,
        committed_micro_usd=state.committed_micro_usd + cost,
        tokens=state.tokens + tokens,
        runs=_charge(state.runs, call, cost - kept.micro_usd),
    )


def _closed(state: State, event: guard.Closed) -> State:
    runs = {name: run for name, run in state.runs.items() if name != event.run}
    return msgspec.structs.replace(state, runs=runs, closed=state.closed or "-" not in event.run)
