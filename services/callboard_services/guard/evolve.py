"""How a tree follows from its own records: one small function an event, all pure."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from callboard.actor import remembered
from callboard_contracts import approval, guard, ids, run
from callboard_contracts.journal import Event
from callboard_contracts.units import MicroUsd
from callboard_services.guard import asked
from callboard_services.guard.state import Asked, Held, Reserved, Run, State

_REMEMBERED = 64


@remembered
def evolve(state: State, event: Event) -> State:
    """Return the tree after an event of its own log."""
    match event:
        case guard.Opened():
            return _opened(state, event)
        case guard.Granted() | guard.Refused():
            return _granted(state, event) if isinstance(event, guard.Granted) else _decided(state, event.call)
        case guard.Held():
            return _held(state, event)
        case guard.Postponed() | guard.Answered() | guard.Withdrawn() | guard.Waiting():
            return asked.after(state, event)
        case guard.Settled():
            return _settled(state, event)
        case guard.Cancelled() | guard.Paused() | guard.Resumed() | guard.Steered():
            return _controlled(state, event)
        case guard.Closing() | guard.Closed():
            return _ended(state, event)
        case guard.Armed():
            return state
        case _ if isinstance(event, run.Event | approval.Event):
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
        accepted=event.accepted,
        slice_micro_usd=None if root else event.limits.budget_micro_usd,
    )
    return msgspec.structs.replace(
        state,
        limits=event.limits if root else state.limits,
        traceparent=event.traceparent if root else state.traceparent,
        runs=state.runs | {event.run: run},
        started=state.started + 1,
    )


def _granted(state: State, event: guard.Granted) -> State:
    call = event.call.id
    state = _decided(state, call)
    kept = Reserved(event.reserved_micro_usd, event.reserved_tokens, event.call.tool, event.expires_ms)
    return msgspec.structs.replace(
        state,
        calls=state.calls + 1,
        reserved=state.reserved | {call: kept},
        reserved_micro_usd=state.reserved_micro_usd + kept.micro_usd,
        reserved_tokens=state.reserved_tokens + kept.tokens,
        runs=_charge(state.runs, call, kept.micro_usd),
    )


def _decided(state: State, call: str) -> State:
    state = asked.without(state, (call,)) if call in state.asked else state
    run, turn = ids.run_of(call), ids.turn_of(call)
    known = state.runs.get(run)
    if state.decided(run) >= turn:
        return state
    if known is None:
        return msgspec.structs.replace(state, unopened=state.unopened | {run: turn})
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


def _held(state: State, event: guard.Held) -> State:
    if event.requests:
        state = _decided(state, event.calls[0])
        more = {one.id: Asked(event.source, one.digest, one.rule.on_expiry == "fail") for one in event.requests}
        return msgspec.structs.replace(state, asked=state.asked | more)
    known, before = state.runs[event.run], state.held.get(event.run, Held(()))
    return msgspec.structs.replace(
        state,
        held=state.held | {event.run: Held((*before.sources, event.source))},
        runs=state.runs | {event.run: msgspec.structs.replace(known, turn=event.turn)},
    )


def _controlled(state: State, event: guard.Cancelled | guard.Paused | guard.Resumed | guard.Steered) -> State:
    match event:
        case guard.Cancelled():
            return msgspec.structs.replace(state, cancelled=(*state.cancelled, event.run))
        case guard.Paused():
            paused = (*state.paused, event.run)
            return msgspec.structs.replace(state, paused=paused, nth=event.nth, said=_said(state, event.id))
        case guard.Resumed():
            return _resumed(state, event)
        case guard.Steered():
            return msgspec.structs.replace(state, said=_said(state, event.id))


def _resumed(state: State, event: guard.Resumed) -> State:
    paused = tuple(name for name in state.paused if name != event.run)
    after = msgspec.structs.replace(state, paused=paused, nth=event.nth, said=_said(state, event.id))
    held = {name: kept for name, kept in state.held.items() if after.is_paused(name)}
    return msgspec.structs.replace(after, held=held)


def _said(state: State, wish: str) -> tuple[str, ...]:
    return (*state.said, wish)[-_REMEMBERED:]


def _ended(state: State, event: guard.Closing | guard.Closed) -> State:
    held = {name: kept for name, kept in state.held.items() if name != event.run}
    if isinstance(event, guard.Closing):
        ended = msgspec.structs.replace(state.runs[event.run], ended=True, until_ms=event.until_ms)
        return msgspec.structs.replace(state, held=held, runs=state.runs | {event.run: ended})
    runs = {name: run for name, run in state.runs.items() if name != event.run}
    paused = tuple(name for name in state.paused if name != event.run)
    closed = state.closed or "-" not in event.run
    over = (*state.over, event.run)
    return msgspec.structs.replace(state, held=held, runs=runs, over=over, paused=paused, closed=closed)
