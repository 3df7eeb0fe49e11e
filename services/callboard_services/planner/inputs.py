"""How the planner reads its inputs: a goal, the grant of a sub-agent, a result, a timer, a cancellation."""

from hashlib import sha256
from typing import Any

import msgspec

from callboard.actor import Input
from callboard.bus import Delivery
from callboard_contracts import ids, run, subjects, wire
from callboard_contracts.call import Completed, Result
from callboard_contracts.goal import Submit
from callboard_contracts.journal import Record, granted
from callboard_services.planner.accept import Start, delegated
from callboard_services.planner.observe import Answer

_TYPES: dict[str, Any] = {
    "result": Result,
    "child": Result,
    "answer": Completed,
    "timer": run.Wake,
    "cancel": run.Cancel,
    "control": run.Pause | run.Resume | run.Park | run.Steer,
    "signal": run.Retry,
}


def read_goal(delivery: Delivery, now_ms: float) -> Input:
    """Read a goal from GOALS. Its id is in the body or in `ce-id`; without one it cannot be a run.

    `now_ms` is the broker's time.

    :raises ValueError: the body, the id or the subject is not a goal's.
    """
    where = subjects.Goal.parse(delivery.stored_subject)
    goal = wire.decode(delivery.body, Submit)
    goal_id = goal.id or delivery.id
    if not ids.is_ulid(goal_id):
        raise ValueError(f"the goal's id {goal_id!r} is not a ULID")
    goal = msgspec.structs.replace(goal, id=goal_id)
    waited_ms = max(0, int(now_ms) - delivery.time_ms)
    start = Start(goal=goal, skill=where.skill, digest=_digest(where.skill, goal), waited_ms=waited_ms)
    return _input(delivery, subjects.Address.of_run(where.tenant, goal_id), start, goal_id)


def read_delegation(delivery: Delivery) -> Input:
    """Read the grant of a sub-agent: its run's id is the call's id.

    :raises ValueError: there is no grant in it.
    """
    where = subjects.Subject.parse(delivery.stored_subject)
    grant = granted(wire.decode(delivery.body, Record))
    if grant is None:
        raise ValueError("the record holds no grant")
    digest = sha256(wire.encode(grant.call)).hexdigest()
    address = subjects.Address.of_run(where.address.tenant, grant.call.id)
    start = delegated(grant.call.id, grant.call.arguments, digest)
    return Input(grant.call.id, address, start, delivery.seq, delivery.time_ms, traceparent=grant.traceparent)


def read_input(delivery: Delivery) -> Input:
    """Read a message to a run.

    :raises ValueError: it is of no kind that a run takes.
    """
    where = subjects.Subject.parse(delivery.stored_subject)
    type_ = _TYPES.get(where.kind)
    if type_ is None:
        raise ValueError(f"a run does not take {where.kind!r}")
    body = wire.decode(delivery.body, type_)
    return _input(delivery, where.address, Answer(body) if where.kind == "answer" else body, delivery.cause)


def _input(delivery: Delivery, address: subjects.Address, body: Any, cause: str) -> Input:
    return Input(cause, address, body, delivery.seq, delivery.time_ms, traceparent=delivery.traceparent)


def _digest(skill: str, goal: Submit) -> str:
    """Return what tells one goal from another. What its user prefers may have changed when it is sent again."""
    goal = msgspec.structs.replace(goal, preferences=()) if goal.preferences else goal
    return sha256(skill.encode() + b"\0" + wire.encode(goal)).hexdigest()
