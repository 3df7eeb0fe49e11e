"""Observe: a result reaches a run. It is taken once, and when every call of the turn has answered the run goes on."""

from typing import Any

import msgspec

from callboard.actor import SEEN, Dead, Decision, Input
from callboard_contracts import ids, model, names, run
from callboard_contracts.call import Completed, Failed, Lost, Refused, Result
from callboard_contracts.registry import Facts
from callboard_services.planner import steps
from callboard_services.planner.evolve import answered
from callboard_services.planner.state import State


def take(state: State, message: Input, result: Result, facts: Facts) -> Decision:
    """Decide a result."""
    if state.accepted is None and not state.ended:
        return Dead("not_granted", f"no run asked for {result.call}")
    if result.call not in state.open:
        return _unexpected(state, message, result)
    took = run.Took(results=(_taken(state.open[result.call].tool, message, result),))
    after = answered(state, took)
    if after.open:
        return (took,)
    return (took, *_step(after, took.results[0].tool, result, message, facts))


def _unexpected(state: State, message: Input, result: Result) -> Decision:
    """A result that nothing waits for: never asked for, said before, or late (booked, and it causes nothing)."""
    if not ids.is_call(result.call) or ids.turn_of(result.call) > state.turn:
        return Dead("not_granted", f"no run asked for {result.call}")
    if result.call not in state.given_up and result.call not in state.owed:
        return SEEN
    taken = _taken("", message, result)
    return (run.Took(results=(msgspec.structs.replace(taken, late=True),)),)


def _taken(tool: str, message: Input, result: Result) -> run.Taken:
    if isinstance(result, Refused):
        return run.Taken(
            call=result.call,
            tool=tool,
            status="refused",
            seq=message.seq,
            code=result.code,
            message=result.message[:500],
        )
    usage = result.usage
    return run.Taken(
        call=result.call,
        tool=tool,
        status=_STATUS[type(result)],
        seq=message.seq,
        cost_micro_usd=usage.cost_micro_usd,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        unpriced=usage.unpriced,
        duration_ms=usage.duration_ms,
        model=usage.model,
        bytes=_size(result) if isinstance(result, Completed) else 0,
        code=result.code if isinstance(result, Failed) else "",
        message="" if isinstance(result, Completed) else result.message[:500],
    )


def _size(result: Completed) -> int:
    """Return how much of an output the next prompt may show: of one that is kept elsewhere, its beginning."""
    return min(result.output_bytes, _SHOWN) if result.output_ref else len(msgspec.json.encode(result.output))


_SHOWN = 32 * 1024
_STATUS: dict[type, Any] = {Completed: "completed", Failed: "failed", Lost: "lost"}


def _step(state: State, tool: str, result: Result, message: Input, facts: Facts) -> steps.Events:
    """All calls of the turn have answered: what now?"""
    if tool != names.MODEL:
        return () if state.paused_ms else steps.go_on(state, facts, message.time_ms)
    match result:
        case Completed():
            return _answered(state, result, message, facts)
        case Failed() if result.code == "cancelled":
            return ()  # an executor hears of it before the run does: the word that ends it is on its way
        case Failed():
            return steps.model_failed(
                state, result.code, result.message, retryable=result.retryable, now_ms=message.time_ms
            )
        case Lost():
            return steps.model_failed(state, "model_failed", result.message, retryable=True, now_ms=message.time_ms)
        case Refused() if result.code == "paused":
            return () if state.paused_ms else steps.wait_for_pause(message.time_ms)
        case Refused() if result.code == "cancelled":
            return steps.end(state, "cancelled", result.code, result.message)
        case Refused():
            return steps.end(state, "failed", result.code, result.message)


def _answered(state: State, result: Completed, message: Input, facts: Facts) -> steps.Events:
    try:
        answer = msgspec.convert(result.output, model.Answer)
        output = msgspec.json.decode(message.blobs[answer.output_ref]) if answer.output_ref else answer.output
    except (msgspec.MsgspecError, KeyError) as error:
        return steps.model_failed(
            state,
            "provider_malformed",
            f"the models service answered off its contract: {error}",
            retryable=True,
            now_ms=message.time_ms,
        )
    return steps.act(state, answer, output, facts, message.time_ms)
