"""How a run follows from its own records: one small function an event, all pure."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from callboard.actor import remembered
from callboard_contracts import approval, guard, names, run
from callboard_contracts.call import Call
from callboard_contracts.journal import Event
from callboard_services.planner import clocks, loops, outgrown
from callboard_services.planner.state import Open, State

GRACE_MS = 10_000
"""How long after its deadline an unanswered call is still waited for."""
_REMEMBERED = 64
_NOT_ACCEPTED = frozenset({"contract_unmet", "ungrounded"})


@remembered
def evolve(state: State, event: Event) -> State:
    """Return the run after an event of its own log."""
    match event:
        case run.Accepted() | run.Refused() | run.Ended():
            return _bounded(state, event)
        case run.Took():
            return _took(state, event.results)
        case run.Called():
            return _called(state, event)
        case run.Noted():
            return _noted(state, event)
        case run.Paused() | run.Resumed() | run.Parked():
            return clocks.stopped(state, event)
        case run.Steered() | run.Retried():
            return _told(state, event)
        case run.Deferred():
            failures = state.failures + (event.code != "paused")
            return msgspec.structs.replace(state, deferred_ms=event.until_ms, failures=failures)
        case run.Armed():
            return msgspec.structs.replace(state, armed_ms=event.at_ms)
        case _ if isinstance(event, guard.Event | approval.Event):
            return state  # never in a run's own log
        case _:
            assert_never(event)


def answered(state: State, took: run.Took) -> State:
    """Return the run after results, for the step that follows in the same record.

    That record says what they cost, so only the costs of earlier ones are still to be told to the guard.
    """
    return msgspec.structs.replace(evolve(state, took), unsettled=state.unsettled)


def fold(state: State, events: Iterable[Event]) -> State:
    """Return the run after several events."""
    for event in events:
        state = evolve(state, event)
    return state


def _bounded(state: State, event: run.Accepted | run.Refused | run.Ended) -> State:
    match event:
        case run.Accepted():
            return msgspec.structs.replace(
                state, accepted=event, digest=event.goal_digest, context_tokens=_first_prompt(event)
            )
        case run.Refused():
            return msgspec.structs.replace(state, ended=True, digest=event.goal_digest)
        case run.Ended():
            return msgspec.structs.replace(
                state,
                ended=True,
                owed=event.open,
                open={},
                unsettled=(),
                deferred_ms=0,
                again=(),
                steps=(),
                done=(),
                parked={},
            )


def _told(state: State, event: run.Steered | run.Retried) -> State:
    match event:
        case run.Steered():
            return _steered(state, event)
        case run.Retried():
            return msgspec.structs.replace(state, heard=_heard(state, event.id), again=(*state.again, event))


def _first_prompt(event: run.Accepted) -> int:
    before = event.goal.retry.tokens if event.goal.retry else 0
    return 200 + before + len(msgspec.json.encode(event)) // run.BYTES_PER_TOKEN


def _steered(state: State, event: run.Steered) -> State:
    return msgspec.structs.replace(
        state,
        heard=_heard(state, event.id),
        unheard=state.unheard + 1,
        context_tokens=state.context_tokens + 20 + len(event.text) // run.BYTES_PER_TOKEN,
    )


def _heard(state: State, wish: str) -> tuple[str, ...]:
    return (*state.heard, wish)[-_REMEMBERED:]


def _noted(state: State, event: run.Noted) -> State:
    rejected = state.rejected + (event.code in _NOT_ACCEPTED)
    return msgspec.structs.replace(
        state, rejected=rejected, context_tokens=state.context_tokens + len(event.text) // run.BYTES_PER_TOKEN
    )


def _took(state: State, results: tuple[run.Taken, ...]) -> State:
    taken_now = {taken.call for taken in results}
    still = {call: kept for call, kept in state.open.items() if call not in taken_now}
    state = outgrown.summed_up(state, results)
    given_up = tuple(taken.call for taken in results if taken.code == "call_timeout" and taken.status == "lost")
    booked = tuple(run.settlement(taken) for taken in results if taken.status != "refused")
    return msgspec.structs.replace(
        state,
        open=still,
        asked=state.asked - sum(_unasked(taken) for taken in results),
        given_up=tuple(call for call in state.given_up if call not in taken_now) + given_up,
        owed=tuple(call for call in state.owed if call not in taken_now),
        unsettled=() if state.ended else state.unsettled + booked,
        done=state.done + tuple(_done(state, taken) for taken in results if _counts(state, taken)),
        cost_micro_usd=state.cost_micro_usd + sum(taken.cost_micro_usd for taken in results),
        context_tokens=run.prompt_after(state.context_tokens, results),
        failures=0 if any(run.is_turn(taken) and taken.status == "completed" for taken in results) else state.failures,
    )


def _unasked(taken: run.Taken) -> bool:
    """Tell whether a question never reached the model, because the run was paused."""
    return taken.code == "paused" and taken.tool == names.MODEL and not taken.context_tokens


def _counts(state: State, taken: run.Taken) -> bool:
    return taken.call in state.open and taken.tool != names.MODEL


def _done(state: State, taken: run.Taken) -> loops.Done:
    outcome = f"ok {taken.bytes}" if taken.status == "completed" else taken.code or taken.status
    return loops.Done(state.open[taken.call].digest, taken.tool, outcome)


def _called(state: State, event: run.Called) -> State:
    summary = next((call.id for call in event.calls if run.summarises(call)), "")
    model = run.asks_model(event)
    asks = model and not summary
    repeated = {call.again for call in event.calls}
    return msgspec.structs.replace(
        state,
        turn=event.turn,
        again=tuple(wish for wish in state.again if wish.call not in repeated),
        unheard=0 if asks else state.unheard,
        summarising=summary or state.summarising,
        done=state.done if repeated != {""} else (),
        steps=(*state.steps, loops.over(state.done))[-loops.KEPT :] if model and state.done else state.steps,
        asked=state.asked + asks,
        made=state.made + len(event.calls),
        open=state.open | {call.id: Open(call.tool, _deadline(event, call), _digest(call)) for call in event.calls},
        unsettled=(),
        deferred_ms=0,
        rejected=state.rejected if model else 0,
    )


def _digest(call: Call) -> int:
    return 0 if call.tool == names.MODEL else loops.digest(call.tool, call.arguments_ref or call.arguments)


def _deadline(event: run.Called, call: Call) -> int:
    return event.at_ms + int(call.timeout_s * 1000) + GRACE_MS
