"""What a person says to a run: stop at the next step, go on, hear this, make that call again. All pure."""

from typing import assert_never

from callboard.actor import SEEN, Dead, Decision, Input
from callboard_contracts import names, run
from callboard_contracts.call import Call
from callboard_contracts.journal import Record
from callboard_contracts.registry import Facts
from callboard_services.planner import steps
from callboard_services.planner.evolve import evolve
from callboard_services.planner.state import State

Word = run.Cancel | run.Pause | run.Resume | run.Park | run.Steer | run.Retry


def told(state: State, word: Word, message: Input, facts: Facts) -> Decision:
    """Decide a word. Said again, or to a run that has ended, it changes nothing."""
    match word:
        case run.Cancel():
            return cancel(state, word)
        case run.Pause():
            return pause(state, word, message)
        case run.Resume():
            return resume(state, word, message, facts)
        case run.Park():
            return park(state, word, message)
        case run.Steer():
            return steer(state, word, message)
        case run.Retry():
            return retry(state, word, message)
        case _:
            assert_never(word)


def cancel(state: State, wish: run.Cancel) -> Decision:
    """End the run, also one that has not begun."""
    if state.ended:
        return SEEN
    by = f" by {wish.principal}" if wish.principal else ""
    return steps.end(state, "cancelled", "cancelled", wish.reason or f"cancelled{by}")


def pause(state: State, wish: run.Pause, message: Input) -> Decision:
    """Begin nothing new from now on. What runs may finish."""
    if not state.live or wish.nth <= state.nth:
        return SEEN
    return (run.Paused(at_ms=message.time_ms, nth=wish.nth, reason=wish.reason, principal=wish.principal),)


def resume(state: State, wish: run.Resume, message: Input, facts: Facts) -> Decision:
    """Go on where the run stopped."""
    if not state.live or wish.nth <= state.nth:
        return SEEN
    resumed = run.Resumed(at_ms=message.time_ms, nth=wish.nth, principal=wish.principal)
    after = evolve(state, resumed)
    if after.open or after.deferred_ms or not state.paused_ms:
        return (resumed,)
    return (resumed, *steps.go_on(after, facts, message.time_ms))


def park(state: State, wish: run.Park, message: Input) -> Decision:
    """Let the clocks of what waits for a person stand still, and those of what waits no more go on."""
    if not state.live or wish.nth <= state.parked_nth:
        return SEEN
    return (run.Parked(at_ms=message.time_ms, nth=wish.nth, calls=wish.calls),)


def steer(state: State, wish: run.Steer, message: Input) -> Decision:
    """Note what the model is to read before its next answer counts."""
    if not state.live or message.id in state.heard:
        return SEEN
    return (run.Steered(id=message.id, text=wish.text, principal=wish.principal),)


def retry(state: State, wish: run.Retry, message: Input) -> Decision:
    """Make a call again: at once, or at the next step when the model is being asked."""
    if not state.live or message.id in state.heard or wish.call in state.open:
        return SEEN
    call = _call(message.records.get(wish.source), wish.call)
    if call is None or call.tool == names.MODEL:
        return Dead("not_granted", f"record {wish.source} of this run asked for no tool call {wish.call}")
    retried = run.Retried(
        id=message.id,
        call=call.id,
        tool=call.tool,
        arguments=call.arguments,
        arguments_ref=call.arguments_ref,
        timeout_s=call.timeout_s,
        principal=wish.principal,
    )
    after = evolve(state, retried)
    if after.paused_ms or after.deferred_ms or any(kept.tool == names.MODEL for kept in after.open.values()):
        return (retried,)
    return (retried, *steps.call_again(after, message.time_ms))


def _call(record: Record | None, call: str) -> Call | None:
    events = record.events if record is not None else ()
    called = [event for event in events if isinstance(event, run.Called)]
    return next((one for event in called for one in event.calls if one.id == call), None)
