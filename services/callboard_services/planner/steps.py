"""The steps of the loop, each a few events: ask the model, act on its answer, end. All pure."""

from collections.abc import Sequence
from typing import Any

from callboard.actor import violations
from callboard_contracts import errors, model, run
from callboard_contracts.call import Call
from callboard_contracts.journal import Event
from callboard_contracts.registry import Facts
from callboard_services.planner import loops, proposals
from callboard_services.planner.outgrown import outgrown
from callboard_services.planner.state import State

MAX_REJECTED = 2
"""How many answers in a row may fail the contract before the run ends."""
MAX_FAILURES = 3
"""How often a model request that failed is made again."""
MAX_PARALLEL = 128
"""How many calls one answer may ask for."""
_BACKOFF_MS = (500, 2_000, 8_000)

Events = tuple[Event, ...]


def go_on(state: State, facts: Facts, now_ms: int) -> Events:
    """Every call has answered: make those again that a person wants, or ask the model, unless the run goes in circles.

    The model is told of a circle once, so that it can plan anew; if the circle goes on, the run ends.
    """
    if state.again:
        return call_again(state, now_ms)
    circle = loops.circle((*state.steps, loops.over(state.done))) if state.done else None
    if circle is None:
        return ask_model(state, facts, now_ms)
    if circle.ends:
        return end(state, "failed", "loop_detected", circle.reason)
    told = f"You are going in circles: {circle.reason}. Try something else, or say why the goal cannot be reached."
    return (run.Noted(text=told, code="loop_detected"), *ask_model(state, facts, now_ms))


def call_again(state: State, now_ms: int) -> Events:
    """Act: propose the calls again that a person wants."""
    return (_called(state, proposals.again(state), now_ms),)


def ask_model(state: State, facts: Facts, now_ms: int) -> Events:
    """Reason: propose a model call, or end the run when it has used its turns.

    A run that outgrew the window has its older steps summed up first.
    """
    if state.asked >= state.begun.goal.limits.max_turns:
        return end(state, "failed", "iteration_budget", f"the model was asked {state.asked} times")
    propose = proposals.summary if outgrown(state, facts) else proposals.question
    return (_called(state, (propose(state, facts),), now_ms),)


def _called(state: State, calls: tuple[Call, ...], now_ms: int) -> run.Called:
    return run.Called(turn=state.turn + 1, at_ms=now_ms, calls=calls, settled=state.unsettled)


def act(state: State, answer: model.Answer, output: Any, facts: Facts, now_ms: int) -> Events:
    """Evaluate the model's answer: run what it asks for, end with its output, or tell it what is wrong."""
    if answer.asks:
        return _propose(state, answer.asks, facts, now_ms)
    if state.unheard or state.again:  # a person said something meanwhile: this answer is not the last
        return go_on(state, facts, now_ms)
    if answer.give_up:
        return end(state, "unachievable", "gave_up", answer.give_up)
    if answer.finished:
        return _judge(state, answer, output, facts, now_ms)
    return _reject(state, "contract_unmet", ("the answer was empty",), facts, now_ms)


def _propose(state: State, asks: Sequence[model.Ask], facts: Facts, now_ms: int) -> Events:
    called = _called(state, proposals.asked(state, asks[:MAX_PARALLEL], facts), now_ms)
    if len(asks) <= MAX_PARALLEL:
        return (called,)
    return (run.Noted(text=f"Only the first {MAX_PARALLEL} of {len(asks)} tool calls were made."), called)


def _judge(state: State, answer: model.Answer, output: Any, facts: Facts, now_ms: int) -> Events:
    accepted = state.begun
    if problems := violations(accepted.contract, output):
        return _reject(state, "contract_unmet", problems, facts, now_ms)
    if accepted.goal.grounded and answer.ungrounded:
        where = tuple(f"the value at {pointer or '/'} occurs in no tool result" for pointer in answer.ungrounded[:8])
        return _reject(state, "ungrounded", where, facts, now_ms)
    return end(state, "completed", output=None if answer.output_ref else output, output_ref=answer.output_ref)


def _reject(state: State, code: str, problems: tuple[str, ...], facts: Facts, now_ms: int) -> Events:
    if state.rejected >= MAX_REJECTED:
        status: run.Status = "unachievable" if code == "ungrounded" else "failed"
        return end(state, status, code, "; ".join(problems))
    noted = run.Noted(text="Your answer was not accepted: " + "; ".join(problems) + ".", code=code)
    return (noted, *ask_model(state, facts, now_ms))


def model_failed(state: State, code: str, message: str, *, retryable: bool, now_ms: int) -> Events:
    """The model gave no answer: ask again after a while, a bounded number of times, then end honestly."""
    if retryable and state.failures < MAX_FAILURES:
        return (run.Deferred(until_ms=now_ms + _BACKOFF_MS[state.failures], code=code, message=message[:500]),)
    return end(state, "failed", code if code in errors.CATALOGUE else "model_failed", message)


def wait_for_pause(now_ms: int) -> Events:
    """The guard says that the run is paused, and the word has not come yet: ask again soon."""
    return (run.Deferred(until_ms=now_ms + _BACKOFF_MS[0], code="paused", message="the run is paused"),)


def end(
    state: State, status: run.Status, code: str = "", reason: str = "", *, output: Any = None, output_ref: str = ""
) -> Events:
    """End the run, with the costs that the guard has not been told and the calls that have not answered."""
    ended = run.Ended(
        status=status,
        output=output,
        output_ref=output_ref,
        code=code,
        reason=reason[:2000],
        turns=state.asked,
        calls=state.made,
        cost_micro_usd=state.cost_micro_usd,
        settled=state.unsettled,
        open=tuple(state.open),
    )
    return (ended,)
