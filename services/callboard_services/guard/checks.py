"""Whether a call may run: tool, arguments, limits, money, in this order; the first refusal counts."""

from typing import Any

import msgspec

from callboard.actor import violations
from callboard_contracts import ids, model, names
from callboard_contracts.call import Call
from callboard_contracts.errors import CallboardError
from callboard_contracts.registry import Facts
from callboard_contracts.tool import Spec
from callboard_contracts.units import MicroUsd, dollars, priced
from callboard_services.guard.state import Run, State


class Worst(msgspec.Struct, frozen=True):
    """The most that a call can cost."""

    micro_usd: MicroUsd = 0
    tokens: int = 0
    unpriced: bool = False


def check(state: State, run: Run | None, call: Call, arguments: Any, facts: Facts) -> Worst:
    """Return the call's worst case.

    :raises CallboardError: why it may not run.
    """
    if state.is_cancelled(ids.run_of(call.id)):
        raise CallboardError("cancelled", "the run was cancelled")
    if state.closed or run is None or run.ended:
        raise CallboardError("cancelled", "the run has ended")
    if state.is_paused(ids.run_of(call.id)):
        raise CallboardError("paused", "it goes on when it is resumed")
    spec = _known(run, call, facts)
    if call.tool != names.MODEL and (problems := violations(spec.input_schema, arguments)):
        raise CallboardError("arguments_invalid", "; ".join(problems))
    _limits(state, run, call, arguments)
    worst = _worst(call, arguments, spec, facts)
    _money(state, call, worst)
    return worst


def _known(run: Run, call: Call, facts: Facts) -> Spec:
    spec = facts.spec(call.tool)
    if spec is None:
        raise CallboardError("unknown_tool", f"{call.tool!r}; there are: {', '.join(facts.offered()) or 'none'}")
    if call.tool != names.MODEL and run.tools is not None and call.tool not in run.tools:
        raise CallboardError("tool_not_allowed", f"{call.tool!r}; this run may use: {', '.join(run.tools) or 'none'}")
    if spec.hidden and call.tool != names.MODEL:
        raise CallboardError("tool_not_allowed", f"{call.tool!r} is not for agents")
    return spec


def _limits(state: State, run: Run, call: Call, arguments: Any) -> None:
    limits = state.envelope
    if state.calls >= limits.max_calls:
        raise CallboardError("call_budget", f"{state.calls} of {limits.max_calls} calls are used")
    if call.tool != names.AGENT:
        return
    if ids.depth_of(call.id) > limits.max_depth:
        raise CallboardError("depth_budget", f"{limits.max_depth} levels of sub-agents are allowed")
    open_agents = sum(kept.tool == names.AGENT and name not in state.runs for name, kept in state.reserved.items())
    if state.started + open_agents >= limits.max_runs:
        raise CallboardError("run_budget", f"{limits.max_runs} runs are allowed")
    wanted = arguments.get("tools") if isinstance(arguments, dict) else None
    if run.tools is not None and wanted and (wider := [tool for tool in wanted if tool not in run.tools]):
        raise CallboardError("tool_not_allowed", f"a sub-agent may not use more than its parent: {', '.join(wider)}")


def _worst(call: Call, arguments: Any, spec: Spec, facts: Facts) -> Worst:
    if call.tool != names.MODEL:
        return Worst(micro_usd=spec.price_micro_usd)
    request = msgspec.convert(arguments, model.Request)
    found = facts.model(request.model)
    tokens = request.prompt_tokens + request.max_output_tokens
    if found is None or found.input_micro_usd is None or found.output_micro_usd is None:
        return Worst(0, tokens, unpriced=True)
    return Worst(
        priced(request.prompt_tokens, found.input_micro_usd)
        + priced(request.max_output_tokens, found.output_micro_usd),
        tokens,
    )


def _money(state: State, call: Call, worst: Worst) -> None:
    limits = state.envelope
    used = state.committed_micro_usd + state.reserved_micro_usd
    if limits.budget_micro_usd is not None and used + worst.micro_usd > limits.budget_micro_usd:
        raise CallboardError(
            "money_budget", _short(worst.micro_usd, limits.budget_micro_usd - used, "of the tree's budget")
        )
    tokens = state.tokens + state.reserved_tokens
    if tokens + worst.tokens > limits.max_tokens:
        raise CallboardError(
            "token_budget", f"needs up to {worst.tokens} tokens, {max(0, limits.max_tokens - tokens)} are left"
        )
    for name in ids.lineage(ids.run_of(call.id)):
        run = state.runs.get(name)
        if run and run.slice_micro_usd is not None and run.used_micro_usd + worst.micro_usd > run.slice_micro_usd:
            raise CallboardError(
                "money_budget", _short(worst.micro_usd, run.slice_micro_usd - run.used_micro_usd, f"of {name}'s slice")
            )


def _short(needed: MicroUsd, left: MicroUsd, whose: str) -> str:
    return f"needs up to ${dollars(needed):.6f}, ${dollars(max(0, left)):.6f} {whose} is left"
