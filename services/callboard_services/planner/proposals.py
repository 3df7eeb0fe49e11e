"""The calls that a run proposes: a question to the model, what the model asked for, what a person wants again."""

from collections.abc import Sequence

import msgspec

from callboard_contracts import ids, model, names, run
from callboard_contracts.call import TIMEOUT_S, Call
from callboard_contracts.registry import Facts
from callboard_services.planner.outgrown import most_output, window_of
from callboard_services.planner.state import State

_MODEL_TIMEOUT_S = 120.0
_TOKENS_PER_TOOL = 150
_SUMMARY_TOKENS = 1024


def question(state: State, facts: Facts) -> Call:
    """Return the call that asks the model."""
    offered = _offered(state.begun, facts)
    request = model.Request(
        model=state.begun.model,
        max_output_tokens=most_output(window_of(state, facts)),
        tools=offered,
        prompt_tokens=state.context_tokens + _TOKENS_PER_TOOL * len(offered),
        summary=state.summary,
    )
    return _to_model(state, request, facts)


def summary(state: State, facts: Facts) -> Call:
    """Return the call that has the run's older steps summed up."""
    request = model.Request(
        model=state.begun.model,
        max_output_tokens=min(_SUMMARY_TOKENS, window_of(state, facts) // 8),
        tools=_offered(state.begun, facts),
        prompt_tokens=state.context_tokens,
        summarise=True,
        summary=state.summary,
    )
    return _to_model(state, request, facts)


def _to_model(state: State, request: model.Request, facts: Facts) -> Call:
    """Return a call of the model. Which type its arguments are follows from the tool: the records need not say it."""
    arguments, spec = msgspec.to_builtins(request), facts.spec(names.MODEL)
    del arguments["type"]
    return Call(
        id=_next(state, 0),
        tool=names.MODEL,
        arguments=arguments,
        timeout_s=_seconds(spec.timeout_s if spec else _MODEL_TIMEOUT_S),
    )


def asked(state: State, asks: Sequence[model.Ask], facts: Facts) -> tuple[Call, ...]:
    """Return the calls that the model asked for."""
    return tuple(_call(_next(state, index), ask, facts) for index, ask in enumerate(asks))


def again(state: State) -> tuple[Call, ...]:
    """Return the calls that a person wants to be made again."""
    return tuple(
        Call(
            id=_next(state, index),
            tool=wish.tool,
            arguments=wish.arguments,
            arguments_ref=wish.arguments_ref,
            timeout_s=_seconds(wish.timeout_s),
            again=wish.call,
        )
        for index, wish in enumerate(state.again)
    )


def _next(state: State, index: int) -> str:
    return ids.call_id(state.begun.goal.id, state.turn + 1, index)


def _offered(accepted: run.Accepted, facts: Facts) -> tuple[str, ...]:
    offered = facts.offered()
    return offered if accepted.tools is None else tuple(tool for tool in accepted.tools if tool in offered)


def _call(call_id: str, ask: model.Ask, facts: Facts) -> Call:
    spec = facts.spec(ask.tool)
    return Call(
        id=call_id,
        tool=ask.tool[:64],
        arguments=ask.invalid or ask.arguments,
        arguments_ref=ask.arguments_ref,
        timeout_s=_seconds(_timeout(ask) or (spec.timeout_s if spec else TIMEOUT_S)),
    )


def _seconds(timeout_s: float) -> float:
    """Return a timeout as it is written: msgspec leaves a default out only when it is the very object."""
    return TIMEOUT_S if timeout_s == TIMEOUT_S else timeout_s


def _timeout(ask: model.Ask) -> float:
    """A sub-agent's call lasts as long as its run may."""
    if ask.tool != names.AGENT or not isinstance(ask.arguments, dict):
        return 0.0
    wish = ask.arguments.get("timeout_s", 300.0)
    return float(wish) + 5.0 if isinstance(wish, int | float) else 0.0
