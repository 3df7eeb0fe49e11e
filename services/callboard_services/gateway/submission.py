"""A goal as a client writes it, and as it is published. Pure: the same body makes the same goal."""

from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from callboard.actor import check_schema, violations
from callboard_contracts import ids, names
from callboard_contracts.errors import CallboardError
from callboard_contracts.goal import Limits, Submit
from callboard_contracts.registry import Facts
from callboard_contracts.skill import Skill
from callboard_contracts.units import micro_usd
from callboard_services.gateway.bodies import decode

MAX_BYTES = 256 * 1024

_Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
_Word = Annotated[str, Meta(min_length=1, max_length=64)]


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits that a client may set; what it leaves out has its default."""

    max_turns: _Count | UnsetType = UNSET
    timeout_s: Annotated[float, Meta(gt=0, le=31_536_000)] | UnsetType = UNSET
    budget_usd: Annotated[float, Meta(ge=0, le=1_000_000_000)] | UnsetType | None = UNSET
    """null: no limit."""
    max_tokens: _Count | UnsetType = UNSET
    max_calls: _Count | UnsetType = UNSET
    max_depth: Annotated[int, Meta(ge=0, le=16)] | UnsetType = UNSET
    max_runs: _Count | UnsetType = UNSET
    start_timeout_s: Annotated[float, Meta(gt=0, le=31_536_000)] | UnsetType | None = UNSET
    """How long the goal may wait for a planner; null: as long as it takes."""


class Goal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/goals`."""

    objective: str = ""
    skill: str = ""
    input: Any = None
    contract: dict[str, Any] | None = None
    tools: tuple[str, ...] | None = None
    model: Annotated[str, Meta(max_length=256)] = ""
    limits: Bounds = Bounds()
    grounded: bool = False
    labels: Annotated[dict[_Word, Annotated[str, Meta(max_length=256)]], Meta(max_length=32)] = {}
    id: str = ""
    """A ULID of the client's own, so that sending twice is one run."""


def parse(body: bytes) -> Goal:
    """Read a goal and check all that can be checked without the registry.

    :raises CallboardError: what is wrong with it.
    """
    if len(body) > MAX_BYTES:
        raise too_large()
    goal = decode(body, Goal, "invalid_goal")
    if goal.id and not ids.is_ulid(goal.id):
        raise CallboardError("invalid_id", f"{goal.id[:80]!r} is not a ULID.")
    if not goal.objective.strip() and not goal.skill:
        raise CallboardError("empty_goal", "There is neither an objective nor a skill.")
    if unknown := [tool for tool in goal.tools or () if not names.is_tool(tool)]:
        raise CallboardError("unknown_tool", f"{unknown[0][:80]!r} cannot be a tool.")
    if goal.contract is not None and (problem := check_schema(goal.contract)):
        raise CallboardError("invalid_contract", problem)
    return goal


def too_large() -> CallboardError:
    """Return the error for a goal that is too large."""
    return CallboardError("goal_too_large", f"A goal may have {MAX_BYTES:,} bytes.")


def skill_of(goal: Goal, facts: Facts) -> Skill | None:
    """Return the skill that a goal names, None when it names none.

    :raises CallboardError: `unknown_skill`.
    """
    if not goal.skill:
        return None
    found = facts.skill(goal.skill) if names.is_skill(goal.skill) else None
    if found is None:
        raise CallboardError("unknown_skill", f"There is no skill {goal.skill[:80]!r}.")
    return found[1]


def check_known(goal: Goal, facts: Facts) -> None:
    """Check that what a goal names is there.

    :raises CallboardError: `unknown_skill`, `unknown_tool`, `unknown_model`, `no_model`.
    """
    skill_of(goal, facts)
    if unknown := [tool for tool in goal.tools or () if tool not in facts.tools]:
        raise CallboardError("unknown_tool", f"There is no tool {', '.join(unknown)[:200]!r}.")
    if facts.model("") is None:
        raise CallboardError("no_model", "No model can be asked.")
    if facts.model(goal.model) is None:
        raise CallboardError("unknown_model", f"There is no model {goal.model[:80]!r}.")


def check_input(goal: Goal, skill: Skill | None) -> None:
    """Check the input against the skill's schema.

    :raises CallboardError: `invalid_input`.
    """
    if skill is None or skill.input_schema is None:
        return
    if problems := violations(skill.input_schema, goal.input):
        raise CallboardError("invalid_input", "; ".join(problems))


def submit(goal: Goal, run: str, principal: str) -> Submit:
    """Return the goal as it is published."""
    bounds = {field: value for field, value in msgspec.structs.asdict(goal.limits).items() if value is not UNSET}
    if "budget_usd" in bounds:
        budget = bounds.pop("budget_usd")
        bounds["budget_micro_usd"] = None if budget is None else micro_usd(budget)
    return Submit(
        id=run,
        objective=goal.objective,
        input=goal.input,
        contract=goal.contract,
        tools=goal.tools,
        model=goal.model,
        limits=Limits(**bounds),
        grounded=goal.grounded,
        principal=principal,
        labels=goal.labels,
    )


def digest(goal: Goal) -> str:
    """Return the digest of what a client asked for, whatever the order of the keys."""
    return sha256(msgspec.json.encode(goal, order="sorted")).hexdigest()
