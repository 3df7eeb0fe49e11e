"""Observe: a result reaches a run. It is taken once, and when every call of the turn has answered the run goes on."""

import msgspec

from callboard.actor import SEEN, Dead, Decision, Input
from callboard_contracts import ids, model, names, run
from callboard_contracts.call import Completed, Failed, Lost, Refused, Result
from callboard_contracts.registry import Facts
from callboard_services.planner import clocks, steps
from callboard_services.planner.evolve import answered, fold
from callboard_services.planner.state import State
from callboard_services.planner.taking import taken


class Answer(msgspec.Struct, frozen=True):
    """What a person answered to a question. It comes from the guard; an executor's result of a question is none."""

    result: Completed


def answer(state: State, message: Input, body: Answer, facts: Facts) -> Decision:
    """Take a person's answer as the result of the call that asked."""
    kept = state.open.get(body.result.call)
    if kept is not None and kept.tool != names.ASK:
        return Dead("not_granted", f"{body.result.call} asked nobody")
    return _take(state, message, body.result, facts)


def take(state: State, message: Input, result: Result, facts: Facts) -> Decision:
    """Decide a result. Of a question there is only a refusal: executors may publish results, and do not answer."""
    kept = state.open.get(result.call)
    if kept is not None and kept.tool == names.ASK and not isinstance(result, Refused):
        return Dead("not_granted", f"{result.call} is a question to a person")
    return _take(state, message, result, facts)


def _take(state: State, message: Input, result: Result, facts: Facts) -> Decision:
    if state.accepted is None and not state.ended:
        return Dead("not_granted", f"no run asked for {result.call}")
    if result.call not in state.open:
        return _unexpected(state, message, result)
    if result.call == state.summarising:
        return _summed_up(state, message, result, facts)
    freed = clocks.freed(state, result.call, message.time_ms)
    took = run.Took(results=(taken(state.open[result.call].tool, message, result),))
    after = answered(fold(state, freed), took)
    if isinstance(result, Refused) and result.ends:
        return (*freed, took, *steps.end(after, "failed", result.code, result.message))
    if after.open:
        return (*freed, took)
    return (*freed, took, *_step(after, took.results[0].tool, result, message, facts))


def _summed_up(state: State, message: Input, result: Result, facts: Facts) -> Decision:
    """The older steps were summed up, or could not be: then the run goes on without."""
    tokens, result = _context(state, result)
    one = msgspec.structs.replace(taken(names.MODEL, message, result), context_tokens=tokens)
    took = run.Took(results=(one,))
    after = answered(state, took)
    match result:
        case Failed() | Refused() if result.code in ("cancelled", "paused"):
            return (took, *_step(after, names.MODEL, result, message, facts))
        case _:
            return (took, *(() if after.paused_ms else steps.go_on(after, facts, message.time_ms)))


def _context(state: State, result: Result) -> tuple[int, Result]:
    """Return an estimate of the next prompt, and the result as it counts: what is no summary is a failure."""
    if not isinstance(result, Completed):
        return max(1, state.context_tokens), result
    try:
        return max(1, msgspec.convert(result.output, model.Summary).context_tokens), result
    except msgspec.ValidationError as error:
        said = f"the models service answered off its contract: {error}"
        failed = Failed(call=result.call, code="provider_malformed", message=said, usage=result.usage)
        return max(1, state.context_tokens), failed


def _unexpected(state: State, message: Input, result: Result) -> Decision:
    """A result that nothing waits for: never asked for, said before, or late (booked, and it causes nothing)."""
    if not ids.is_call(result.call) or ids.turn_of(result.call) > state.turn:
        return Dead("not_granted", f"no run asked for {result.call}")
    if result.call not in state.given_up and result.call not in state.owed:
        return SEEN
    found = taken("", message, result)
    return (run.Took(results=(msgspec.structs.replace(found, late=True),)),)


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
