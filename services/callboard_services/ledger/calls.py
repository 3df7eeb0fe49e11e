"""What events change in the row of a call.

What a call cost is told three times. The guard's settlement is the tree's bill and wins; before it comes, the run's
own settlement is known; before that, what the result said. Each has a column of its own (`settled`, `told`,
`taken`), so that the order in which they come never matters. A settlement of `run.IN_FULL` costs what was reserved.
"""

from callboard_contracts import guard, run
from callboard_contracts.call import Call
from callboard_services.ledger.tables import At, Row, Rows


def called(rows: Rows, at: At, event: run.Called) -> None:
    """Proposed by the run."""
    told(rows, at, event.settled)
    for call in event.calls:
        _asked(rows.call(call.id, at.tenant, at.seq), call, at.time_ms)["status"] = "proposed"


def granted(rows: Rows, at: At, event: guard.Granted) -> None:
    """Granted by the guard, which reserves its worst case."""
    row = rows.call(event.call.id, at.tenant, at.seq)
    row.update(tool=event.call.tool, status="granted", granted_ms=at.time_ms)
    row.update(reserved=event.reserved_micro_usd, unpriced=event.unpriced)


def settled(rows: Rows, at: At, entry: run.Settlement) -> None:
    """Book the tree's bill: the guard settles a call once, so the first word counts."""
    call, cost, tokens = entry
    row = rows.call(call, at.tenant, at.seq)
    if row.get("settled") is None:
        row.update(settled=cost, tokens=tokens)
        if cost > 0:
            rows.spent.append((at.tenant, row["run"], at.time_ms, cost))


def took(rows: Rows, at: At, taken: run.Taken) -> None:
    """Answered, as the run took it."""
    row = rows.call(taken.call, at.tenant, at.seq)
    row.update(
        tool=taken.tool,
        status=taken.status,
        taken=taken.cost_micro_usd,
        input_tokens=taken.input_tokens,
        output_tokens=taken.output_tokens,
        unpriced=taken.unpriced,
        estimated=taken.estimated,
        duration_ms=taken.duration_ms,
        model=taken.model,
        code=taken.code,
        message=taken.message,
        late=taken.late,
        ended_ms=at.time_ms,
        result_seq=taken.seq,
    )
    if taken.price is not None:
        row.update(input_price=taken.price[0], output_price=taken.price[1])
        rows.prices.setdefault((at.tenant, taken.model, *taken.price), at.time_ms)


def told(rows: Rows, at: At, settled: tuple[run.Settlement, ...]) -> None:
    """Note what the run says its calls cost, which counts until the guard has settled them."""
    for call, cost, tokens in settled:
        rows.call(call, at.tenant, at.seq).update(told=cost, tokens=tokens)


def refused(rows: Rows, at: At, event: guard.Refused) -> None:
    """Refused by the guard: nothing ran."""
    row = rows.call(event.call, at.tenant, at.seq)
    row.update(tool=event.tool, status="refused", code=event.code, message=event.message, ended_ms=at.time_ms)


def _asked(row: Row, call: Call, time_ms: int) -> Row:
    row.update(tool=call.tool, asked_ms=time_ms)
    if run.summarises(call):
        row["summarises"] = True
    return row
