"""What a record changes in the tables: pure, and the whole of what the ledger knows.

A batch of records becomes one row per run and one per call. A column that is None says nothing; any other value
takes the place of what was there, those of `FIRST` excepted. Records of a tree are folded in the order of its stream,
so the later one is right.
"""

from typing import assert_never

import msgspec

from callboard_contracts import approval, guard, names, run
from callboard_contracts.journal import Record
from callboard_services.ledger import approvals, calls
from callboard_services.ledger.tables import At, Rows

__all__ = ["At", "fold"]

_BRIEF = 500

_Life = run.Accepted | run.Ended | run.Refused | run.Paused | run.Resumed | run.Parked | guard.Closed
_Silent = (
    run.Noted | run.Deferred | run.Steered | run.Retried | run.Armed
    | guard.Opened | guard.Held | guard.Postponed | guard.Answered | guard.Withdrawn | guard.Waiting
    | guard.Cancelled | guard.Paused | guard.Resumed | guard.Steered
    | guard.Closing | guard.Armed
)  # fmt: skip
"""What says nothing of status or money."""


def fold(rows: Rows, at: At, record: Record) -> None:
    """Add what one record changes to the rows of its batch."""
    for event in record.events:
        if isinstance(event, approval.Event):
            approvals.fold(rows, at, event)
        else:
            _evolve(rows, at, event)


def _evolve(rows: Rows, at: At, event: run.Event | guard.Event) -> None:
    match event:
        case run.Took():
            for taken in event.results:
                calls.took(rows, at, taken)
        case guard.Granted():
            calls.granted(rows, at, event)
        case run.Called():
            calls.called(rows, at, event)
        case guard.Settled():
            for entry in event.entries:
                calls.settled(rows, at, entry)
        case guard.Refused():
            calls.refused(rows, at, event)
        case _:
            _life(rows, at, event)


def _life(rows: Rows, at: At, event: _Life | _Silent) -> None:
    match event:
        case run.Accepted():
            _accepted(rows, at, event)
        case run.Ended():
            _ended(rows, at, event)
        case run.Refused():
            row = rows.run(at.run, at.tenant)
            row.update(status="refused", code=event.code, reason=event.message, parent=event.parent)
            row.update(skill=_named(event.skill), accepted_ms=at.time_ms, ended_ms=at.time_ms)
        case guard.Closed():
            _closed(rows, at, event)
        case run.Paused():  # the run's own word: the guard's may come after the run has ended
            rows.run(at.run, at.tenant)["status"] = "paused"
        case run.Resumed():
            rows.run(at.run, at.tenant)["status"] = "running"
        case run.Parked():
            rows.run(at.run, at.tenant)["waiting"] = len(event.calls)
        case run.Noted() | run.Deferred() | run.Steered() | run.Retried() | run.Armed():
            return
        case (
            guard.Opened() | guard.Held() | guard.Postponed() | guard.Answered() | guard.Withdrawn() | guard.Waiting()
            | guard.Cancelled() | guard.Paused() | guard.Resumed() | guard.Steered() | guard.Closing() | guard.Armed()
        ):  # fmt: skip
            return
        case _:
            assert_never(event)


def _closed(rows: Rows, at: At, event: guard.Closed) -> None:
    row = rows.run(event.run, at.tenant)
    row["committed"] = event.committed_micro_usd
    if event.run == row["tree"]:
        row["closed_ms"] = at.time_ms


def _named(skill: str) -> str:
    return "" if skill == names.ADHOC else skill


def _accepted(rows: Rows, at: At, event: run.Accepted) -> None:
    goal = event.goal
    rows.run(at.run, at.tenant).update(
        parent=event.parent,
        skill=_named(event.skill),
        skill_digest=event.skill_digest,
        objective=goal.objective[:_BRIEF],
        model=event.model,
        principal=goal.principal,
        labels=msgspec.json.encode(goal.labels).decode(),
        status="running",
        accepted_ms=at.time_ms,
        deadline_ms=event.deadline_ms,
        budget=goal.limits.budget_micro_usd,
        retry_of=goal.retry.of if goal.retry else None,
    )
    for name, value in goal.labels.items():
        for tag in (name, f"{name}:{value}"):
            rows.tags.append((at.tenant, tag, at.time_ms, at.run))


def _ended(rows: Rows, at: At, event: run.Ended) -> None:
    row = rows.run(at.run, at.tenant)
    row.update(status=event.status, code=event.code, reason=event.reason, turns=event.turns, ended_ms=at.time_ms)
    calls.told(rows, at, event.settled)
    for call in event.open:
        rows.call(call, at.tenant, at.seq)["status"] = "unanswered"
