"""A call that is held until people decide: the request says exactly what would run. All pure."""

import msgspec

from callboard.actor import check_schema
from callboard_contracts import approval, guard, ids, names
from callboard_contracts.call import Call
from callboard_contracts.errors import CallboardError
from callboard_contracts.tool import Spec
from callboard_services.guard.checks import Worst
from callboard_services.guard.rules import Found
from callboard_services.guard.state import Run, State

MOST_ASKED = 32
"""With how many calls a tree may wait for people at once."""


def held(state: State, call: Call, source: int, request: approval.Request) -> guard.Held:
    """Hold a call until people decide.

    :raises CallboardError: the tree asks for too much at once, or the question cannot be asked.
    """
    if len(state.asked) >= MOST_ASKED:
        raise CallboardError("approval_budget", f"{MOST_ASKED} calls of this tree wait for people")
    if call.tool == names.ASK:
        _check_question(call)
    return guard.Held(
        run=ids.run_of(call.id),
        turn=ids.turn_of(call.id),
        source=source,
        calls=(call.id,),
        reason="approval",
        requests=(request,),
    )


def _check_question(call: Call) -> None:
    if call.arguments_ref:
        raise CallboardError("arguments_invalid", "a question may have 32 KiB with all that belongs to it")
    schema = call.arguments.get("schema")
    if schema is not None and (problem := check_schema(schema)):
        raise CallboardError("arguments_invalid", f"schema: {problem}")


def request_of(state: State, run: Run, call: Call, worst: Worst, found: Found, spec: Spec) -> approval.Request:
    """Return what people are asked."""
    root = state.runs.get(ids.tree_of(call.id))
    asked = approval.Request(
        id=call.id,
        run=ids.run_of(call.id),
        tool=call.tool,
        version=spec.version,
        effect=spec.effect,
        arguments=call.arguments,
        arguments_ref=call.arguments_ref,
        worst_micro_usd=worst.micro_usd,
        rule=found.rule,
        policy=found.policy,
        policy_digest=found.digest,
        skill_digest=run.skill_digest,
        digest="",
        accepted=run.accepted,
        root=root.accepted if root else 0,
    )
    return msgspec.structs.replace(asked, digest=approval.binding(asked))
