"""When a run's clocks stand still: all of them while it is paused, and where a person decides. All pure.

A call that waits for a person has no deadline meanwhile, and neither has the run; its other calls keep theirs.
"""

from typing import assert_never

import msgspec

from callboard_contracts import run
from callboard_services.planner.state import State


def stopped(state: State, event: run.Paused | run.Resumed | run.Parked) -> State:
    """Return the run after it was paused or resumed, or after what waits for a person changed."""
    match event:
        case run.Paused():
            after = msgspec.structs.replace(state, paused_ms=event.at_ms, nth=event.nth)
        case run.Resumed():
            after = _resumed(state, event)
        case run.Parked():
            after = _parked(state, event)
        case _:
            assert_never(event)
    return _run(state, after, event.at_ms)


def _resumed(state: State, event: run.Resumed) -> State:
    stood = event.at_ms - state.paused_ms if state.paused_ms else 0
    running = [call for call in state.open if call not in state.parked]
    return msgspec.structs.replace(_later(state, dict.fromkeys(running, stood)), paused_ms=0, nth=event.nth)


def _parked(state: State, event: run.Parked) -> State:
    parked = {call: state.parked.get(call, event.at_ms) for call in event.calls if call in state.open}
    freed = {call: event.at_ms - since for call, since in state.parked.items() if call not in parked}
    return msgspec.structs.replace(_later(state, freed), parked=parked, parked_nth=event.nth)


def _later(state: State, moved: dict[str, int]) -> State:
    """Move deadlines by so many milliseconds."""
    found = {
        call: msgspec.structs.replace(state.open[call], deadline_ms=state.open[call].deadline_ms + by)
        for call, by in moved.items()
        if call in state.open
    }
    return msgspec.structs.replace(state, open=state.open | found)


def _run(before: State, after: State, now_ms: int) -> State:
    """Keep the run's own clock: it stands from the first reason on, until there is none."""
    since = before.still_ms or before.paused_ms
    stands = bool(after.paused_ms or after.parked)
    if stands:
        return msgspec.structs.replace(after, still_ms=since or now_ms)
    stood = now_ms - since if since else 0
    return msgspec.structs.replace(after, still_ms=0, stood_still_ms=after.stood_still_ms + stood)


def freed(state: State, call: str, now_ms: int) -> tuple[run.Parked, ...]:
    """Return what is recorded before a call is taken that waits for a person: its answer came."""
    if call not in state.parked:
        return ()
    left = tuple(other for other in state.parked if other != call)
    return (run.Parked(at_ms=now_ms, nth=state.parked_nth, calls=left),)
