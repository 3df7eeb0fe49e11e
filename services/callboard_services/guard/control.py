"""What a person says to a tree: cancel, pause, resume, steer a run and everything below it. All pure.

It is recorded here, where grants are made, so that runs obey that come late or whose planner is dead.
"""

import msgspec

from callboard.actor import SEEN, Dead, Decision, Input
from callboard_contracts import guard, ids, run
from callboard_contracts.journal import Event
from callboard_contracts.registry import Facts
from callboard_services.guard.approving import postponed, resumed_approvals
from callboard_services.guard.deciding import decide_call
from callboard_services.guard.evolve import evolve
from callboard_services.guard.state import State


def control(state: State, wish: guard.Control, message: Input, facts: Facts) -> Decision:
    """Decide a wish. Said again, or of a tree that is closed, it changes nothing."""
    if not ids.is_run(wish.run) or ids.tree_of(wish.run) != message.address.tree:
        return Dead("undecodable", f"the run {wish.run[:80]!r} is none of this tree")
    if state.closed or message.id in state.said:
        return SEEN
    match wish:
        case guard.Cancel():
            return SEEN if state.is_cancelled(wish.run) else (cancelled(state, wish.run, wish.reason, wish.principal),)
        case guard.Pause():
            return SEEN if wish.run in state.paused else (_paused(state, wish, message.id),)
        case guard.Resume():
            return _resume(state, wish, message, facts) if wish.run in state.paused else SEEN
        case guard.Steer():
            told = _told(state, wish.run)
            return (guard.Steered(id=message.id, run=wish.run, text=wish.text, principal=wish.principal, open=told),)


def cancelled(state: State, name: str, reason: str, principal: str = "") -> guard.Cancelled:
    """Stop a run and its descendants: also one that has no record yet, or whose children are still to come."""
    return guard.Cancelled(run=name, reason=reason, principal=principal, open=_told(state, name))


def orphaned(state: State, name: str, reason: str) -> list[Event]:
    """Cancel what a run leaves behind: the sub-agents that it asked for, begun or not, and all below them."""
    below = [other for other in state.runs if other != name and name in ids.lineage(other)]
    asked = [call for call, kept in state.reserved.items() if kept.agent and ids.run_of(call) == name]
    left = [child for child in dict.fromkeys((*asked, *below)) if not state.is_cancelled(child)]
    return [cancelled(state, child, reason) for child in left if not set(ids.lineage(child)[1:]) & set(left)]


def _told(state: State, name: str) -> tuple[str, ...]:
    """The runs that are open at or below a run; the run itself when it is not known yet."""
    below = tuple(other for other, kept in state.runs.items() if name in ids.lineage(other) and not kept.ended)
    return below or (name,)


def _paused(state: State, wish: guard.Pause, cause: str) -> guard.Paused:
    return guard.Paused(
        id=cause,
        run=wish.run,
        nth=state.nth + 1,
        reason=wish.reason,
        principal=wish.principal,
        open=_told(state, wish.run),
    )


def _resume(state: State, wish: guard.Resume, message: Input, facts: Facts) -> Decision:
    freed = _without_pause(state, wish.run)
    told = tuple(name for name in _told(state, wish.run) if not freed.is_paused(name))
    resumed = guard.Resumed(id=message.id, run=wish.run, nth=state.nth + 1, principal=wish.principal, open=told)
    found: list[Event] = [resumed]
    after = evolve(state, resumed)
    for seq in released(state, wish.run):
        record = message.records.get(seq)
        for event in record.events if record is not None else ():
            for call in event.calls if isinstance(event, run.Called) else ():
                decided = decide_call(after, call, seq, message, facts)
                after = evolve(after, decided)
                found.append(decided)
    return (*found, *resumed_approvals(state, after, wish.run, message, facts))


def released(state: State, name: str) -> tuple[int, ...]:
    """Return the records whose calls are held only because a run is paused."""
    freed = _without_pause(state, name)
    free = [kept for held, kept in state.held.items() if name in ids.lineage(held) and not freed.is_paused(held)]
    return tuple(dict.fromkeys(source for kept in free for source in kept.sources))


def approved_meanwhile(state: State, name: str) -> tuple[int, ...]:
    """Return the records whose calls people approved while a run was paused."""
    return tuple(asked.source for asked in postponed(state, _without_pause(state, name), name).values())


def _without_pause(state: State, name: str) -> State:
    return msgspec.structs.replace(state, paused=tuple(other for other in state.paused if other != name))
