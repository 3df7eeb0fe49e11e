"""Whether a goal can be started, and what is pinned for its run: the skill's version, the contract, the model."""

from typing import Any

import msgspec

from callboard.actor import check_schema, violations
from callboard_contracts import ids, names, run
from callboard_contracts.errors import CallboardError
from callboard_contracts.goal import Delegate, Limits, Submit
from callboard_contracts.registry import Facts
from callboard_contracts.skill import Skill
from callboard_contracts.units import micro_usd

_STRING: dict[str, Any] = {"type": "string"}


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A goal on its way to become a run: from a publisher, or from the grant of a sub-agent."""

    goal: Submit
    skill: str = ""
    digest: str = ""
    parent: str = ""
    waited_ms: int = 0
    """How long it lay in the queue before a planner took it, by the broker's clock."""


def delegated(call: str, arguments: Any, digest: str) -> Start:
    """Return the start of a sub-agent. Its arguments fit the schema: the guard checked them before the grant.

    :raises msgspec.ValidationError: they do not.
    """
    wish = msgspec.convert(arguments, Delegate)
    budget = None if wish.budget_usd is None else micro_usd(wish.budget_usd)
    limits = Limits(max_turns=wish.max_turns, timeout_s=wish.timeout_s, budget_micro_usd=budget)
    goal = Submit(
        id=call,
        objective=wish.objective,
        input=wish.input,
        contract=wish.contract,
        tools=wish.tools,
        model=wish.model,
        limits=limits,
    )
    return Start(goal=goal, skill=wish.skill, digest=digest, parent=ids.run_of(call))


def accept(start: Start, facts: Facts, now_ms: int, traceparent: str) -> run.Accepted:
    """Return the first event of a run.

    :raises CallboardError: why the goal cannot be started.
    """
    goal = start.goal
    _check_waited(start)
    digest, skill = _skill(start.skill, facts)
    contract = goal.contract or (skill.contract if skill else None) or _STRING
    _check(goal, skill, contract)
    model = facts.model(goal.model)
    if model is None:
        raise CallboardError("unknown_model" if goal.model else "no_model", f"model {goal.model or 'default'!r}")
    return run.Accepted(
        goal=msgspec.structs.replace(goal, grounded=goal.grounded or bool(skill and skill.grounded)),
        goal_digest=start.digest,
        contract=contract,
        tools=_tools(goal, skill, facts),
        model=model.name,
        skill=skill.name if skill else "",
        skill_digest=digest,
        parent=start.parent,
        deadline_ms=now_ms + int(goal.limits.timeout_s * 1000),
        traceparent=traceparent,
    )


def _check_waited(start: Start) -> None:
    most = start.goal.limits.start_timeout_s
    if most is not None and start.waited_ms > most * 1000:
        waited = f"it waited {start.waited_ms / 1000:.1f} s, and was to be taken within {most:g} s"
        raise CallboardError("start_timeout", waited)


def _skill(name: str, facts: Facts) -> tuple[str, Skill | None]:
    if not name or name == names.ADHOC:
        return "", None
    found = facts.skill(name)
    if found is None:
        raise CallboardError("unknown_skill", f"skill {name!r}")
    return found


def _check(goal: Submit, skill: Skill | None, contract: dict[str, Any]) -> None:
    if not goal.objective.strip() and skill is None:
        raise CallboardError("empty_goal", "neither an objective nor a skill was given")
    if problem := check_schema(contract):
        raise CallboardError("invalid_contract", problem)
    if skill and skill.input_schema and (problems := violations(skill.input_schema, goal.input)):
        raise CallboardError("invalid_input", "; ".join(problems))
    limits = goal.limits
    if limits.max_turns < 1 or limits.max_calls < 1 or limits.max_tokens < 1 or not 0 < limits.timeout_s <= 3.2e7:
        raise CallboardError("invalid_goal", "every limit is at least 1, a timeout at most a year")
    if limits.start_timeout_s is not None and limits.start_timeout_s <= 0:
        raise CallboardError("invalid_goal", "start_timeout_s is more than 0")
    if goal.retry is not None and not ids.is_run(goal.retry.of):
        raise CallboardError("invalid_goal", f"retry.of {goal.retry.of[:80]!r} is no run")


def _tools(goal: Submit, skill: Skill | None, facts: Facts) -> tuple[str, ...] | None:
    allowed = skill.tools if skill else None
    wanted = goal.tools if goal.tools is not None else allowed
    if wanted is None:
        return None
    if unknown := [tool for tool in wanted if tool not in facts.tools]:
        raise CallboardError("unknown_tool", ", ".join(unknown))
    return tuple(tool for tool in wanted if allowed is None or tool in allowed)
