"""What a record changes in the tables: pure, and the whole of what the ledger knows.

A batch of records becomes one row per run and one per call. A column that is None says nothing; any other value
takes the place of what was there, those of `FIRST` excepted. Records of a tree are folded in the order of its stream,
so the later one is right.

What a call cost is told three times. The guard's settlement is the tree's bill and wins; before it comes, the run's
own settlement is known; before that, what the result said. Each has a column of its own (`settled`, `told`,
`taken`), so that the order in which they come never matters. A settlement of `run.IN_FULL` costs what was reserved.
"""

import msgspec

from callboard_contracts import guard, names, run
from callboard_contracts.call import Call
from callboard_contracts.journal import Event, Record
from callboard_services.ledger.tables import Row, Rows

_BRIEF = 500


class At(msgspec.Struct, frozen=True):
    """Where and when a record was stored."""

    tenant: str
    run: str
    seq: int
    time_ms: int


def fold(rows: Rows, at: At, record: Record) -> None:
    """Add what one record changes to the rows of its batch."""
    for event in record.events:
        _evolve(rows, at, event)


def _evolve(rows: Rows, at: At, event: Event) -> None:
    match event:
        case run.Took():
            for taken in event.results:
                _took(rows, at, taken)
        case guard.Granted():
            _granted(rows, at, event)
        case run.Called():
            _called(rows, at, event)
        case guard.Settled():
            for entry in event.entries:
                _settled(rows, at, entry)
        case guard.Refused():
            row = rows.call(event.call, at.tenant, at.seq)
            row.update(tool=event.tool, status="refused", code=event.code, message=event.message, ended_ms=at.time_ms)
        case _:
            _life(rows, at, event)


def _life(rows: Rows, at: At, event: Event) -> None:
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
            rows.run(event.run, at.tenant)["committed"] = event.committed_micro_usd
        case _:  # what says nothing of status or money
            return


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
    )


def _ended(rows: Rows, at: At, event: run.Ended) -> None:
    row = rows.run(at.run, at.tenant)
    row.update(status=event.status, code=event.code, reason=event.reason, turns=event.turns, ended_ms=at.time_ms)
    _told(rows, at, event.settled)
    for call in event.open:
        rows.call(call, at.tenant, at.seq)["status"] = "unanswered"


def _called(rows: Rows, at: At, event: run.Called) -> None:
    _told(rows, at, event.settled)
    for call in event.calls:
        _asked(rows.call(call.id, at.tenant, at.seq), call, at.time_ms)["status"] = "proposed"


def _granted(rows: Rows, at: At, event: guard.Granted) -> None:
    row = rows.call(event.call.id, at.tenant, at.seq)
    row.update(tool=event.call.tool, status="granted", granted_ms=at.time_ms)
    row.update(reserved=event.reserved_micro_usd, unpriced=event.unpriced)


def _settled(rows: Rows, at: At, entry: run.Settlement) -> None:
    """Book the tree's bill: the guard settles a call once, so the first word counts."""
    call, cost, tokens = entry
    row = rows.call(call, at.tenant, at.seq)
    if row["settled"] is None:
        row.update(settled=cost, tokens=tokens)


def _took(rows: Rows, at: At, taken: run.Taken) -> None:
    rows.call(taken.call, at.tenant, at.seq).update(
        tool=taken.tool,
        status=taken.status,
        taken=taken.cost_micro_usd,
        input_tokens=taken.input_tokens,
        output_tokens=taken.output_tokens,
        unpriced=taken.unpriced,
        duration_ms=taken.duration_ms,
        model=taken.model,
        code=taken.code,
        message=taken.message,
        late=taken.late,
        ended_ms=at.time_ms,
        result_seq=taken.seq,
    )


def _told(rows: Rows, at: At, settled: tuple[run.Settlement, ...]) -> None:
    for call, cost, tokens in settled:
        rows.call(call, at.tenant, at.seq).update(told=cost, tokens=tokens)


def _asked(row: Row, call: Call, time_ms: int) -> Row:
    row.update(tool=call.tool, asked_ms=time_ms)
    return row
