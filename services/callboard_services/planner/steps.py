"""The steps of the loop, each a few events: ask the model, act on its answer, end. All pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from callboard.actor import violations
from callboard_contracts import errors, ids, model, names, run
from callboard_contracts.call import Call
from callboard_contracts.journal import Event
from callboard_contracts.registry import Facts
from callboard_services.planner.state import State

MAX_REJECTED = 2
"""How many answers in a row may fail the contract before the run ends."""
MAX_FAILURES = 3
"""How often a model request that failed is made again."""
MAX_PARALLEL = 32
"""How many calls one answer may ask for."""
_BACKOFF_MS = (500, 2_000, 8_000)
_MODEL_TIMEOUT_S = 120.0
_MOST_OUTPUT = 4096

Events = tuple[Event, ...]


def ask_model(state: State, facts: Facts, now_ms: int) -> Events:
    """Reason: propose a model call, or end the run when it has used its turns."""
    accepted = state.begun
    if state.asked >= accepted.goal.limits.max_turns:
        return end(state, "failed", "iteration_budget", f"the model was asked {state.asked} times")
    spec = facts.spec(names.MODEL)
    request = model.Request(
        model=accepted.model,
        max_output_tokens=_most_output(accepted, facts),
        tools=_offered(accepted, facts),
        prompt_tokens=state.context_tokens + _tools_tokens(accepted, facts),
    )
    call = Call(
        id=_next(accepted, state, 0),
        tool=names.MODEL,
        arguments=msgspec.to_builtins(request),
        timeout_s=spec.timeout_s if spec else _MODEL_TIMEOUT_S,
    )
    return (run.Called(turn=state.turn + 1, at_ms=now_ms, calls=(call,), settled=state.unsettled),)


def _next(accepted: run.Accepted, state: State, index: int) -> str:
    return ids.call_id(accepted.goal.id, state.turn + 1, index)


def _most_output(accepted: run.Accepted, facts: Facts) -> int:
    """An answer may take a quarter of a small model's window."""
    found = facts.model(accepted.model)
    window = found.context_tokens if found else 0
    return min(_MOST_OUTPUT, window // 4) if window else _MOST_OUTPUT


def _offered(accepted: run.Accepted, facts: Facts) -> tuple[str, ...]:
    offered = facts.offered()
    return offered if accepted.tools is None else tuple(tool for tool in accepted.tools if tool in offered)


def _tools_tokens(accepted: run.Accepted, facts: Facts) -> int:
    return 150 * len(_offered(accepted, facts))


def act(state: State, answer: model.Answer, output: Any, facts: Facts, now_ms: int) -> Events:
    """Evaluate the model's answer: run what it asks for, end with its output, or tell it what is wrong."""
    if answer.asks:
        return _propose(state, answer.asks, facts, now_ms)
    if answer.give_up:
        return end(state, "unachievable", "gave_up", answer.give_up)
    if answer.finished:
        return _judge(state, answer, output, facts, now_ms)
    return _reject(state, "contract_unmet", ("the answer was empty",), facts, now_ms)


def _propose(state: State, asks: Sequence[model.Ask], facts: Facts, now_ms: int) -> Events:
    accepted = state.begun
    calls = tuple(_call(_next(accepted, state, index), ask, facts) for index, ask in enumerate(asks[:MAX_PARALLEL]))
    called = run.Called(turn=state.turn + 1, at_ms=now_ms, calls=calls, settled=state.unsettled)
    if len(asks) <= MAX_PARALLEL:
        return (called,)
    return (run.Noted(text=f"Only the first {MAX_PARALLEL} of {len(asks)} tool calls were made."), called)


def _call(call_id: str, ask: model.Ask, facts: Facts) -> Call:
    spec = facts.spec(ask.tool)
    return Call(
        id=call_id,
        tool=ask.tool[:64],
        arguments=ask.invalid or ask.arguments,
        arguments_ref=ask.arguments_ref,
        timeout_s=_timeout(ask) or (spec.timeout_s if spec else 60.0),
    )


def _timeout(ask: model.Ask) -> float:
    """A sub-agent's call lasts as long as its run may."""
    if ask.tool != names.AGENT or not isinstance(ask.arguments, dict):
        return 0.0
    wish = ask.arguments.get("timeout_s", 300.0)
    return float(wish) + 5.0 if isinstance(wish, int | float) else 0.0


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
