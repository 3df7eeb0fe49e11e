"""What waits for people, kept true with every turn: withdrawn when nobody awaits it, and told to the runs. All pure.

A run's clocks stand still while a call of it, or of a sub-agent of it, waits for a person. The guard tells each run all
that waits, under a number that grows: said twice or too late, it does no harm.
"""

from collections.abc import Sequence
from itertools import pairwise

from callboard_contracts import guard, ids
from callboard_contracts.journal import Event
from callboard_services.guard.evolve import evolve, fold
from callboard_services.guard.state import State


def concluded(before: State, events: Sequence[Event]) -> tuple[Event, ...]:
    """Return a turn's events with what they change for those who wait. A tree that asks nobody pays nothing."""
    if not before.asked and not any(isinstance(event, guard.Held) for event in events):
        return tuple(events)
    after, found = fold(before, events), list(events)
    if gone := tuple(call for call in after.asked if not _awaited(after, call)):
        found.append(guard.Withdrawn(calls=gone, reason="the run ended or was cancelled"))
        after = evolve(after, found[-1])
    was, now = waits(before), waits(after)
    changed = [name for name in {**was, **now} if was.get(name) != now.get(name) and _lives(after, name)]
    if changed:
        runs = tuple(guard.Wait(run=name, calls=now.get(name, ())) for name in changed)
        found.append(guard.Waiting(nth=after.waits + 1, runs=runs))
    return tuple(found)


def waits(state: State) -> dict[str, tuple[str, ...]]:
    """Return for each run the calls that wait for a person: its own, and those of sub-agents in which one waits."""
    found: dict[str, dict[str, None]] = {}
    for call in state.asked:
        for below, name in pairwise(ids.lineage(call)):
            found.setdefault(name, {})[below] = None
    return {name: tuple(calls) for name, calls in found.items()}


def given_up(state: State, calls: Sequence[str]) -> list[Event]:
    """Withdraw what a run no longer waits for."""
    gone = tuple(call for call in calls if call in state.asked)
    return [guard.Withdrawn(calls=gone, reason="the run waits no longer")] if gone else []


def _awaited(state: State, call: str) -> bool:
    return _lives(state, ids.run_of(call)) and not state.is_cancelled(call)


def _lives(state: State, name: str) -> bool:
    run = state.runs.get(name)
    return run is not None and not run.ended
