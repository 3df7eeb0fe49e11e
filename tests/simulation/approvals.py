"""I9: what people must decide runs only after they approved those very bytes, and every request ends once."""

from collections.abc import Callable, Iterator

from callboard_contracts import approval, guard, names
from callboard_contracts.call import Call
from tests.simulation.history import History, Log


def violations(history: History, gated: Callable[[Call], bool]) -> Iterator[str]:
    """Yield everything that does not hold. `gated` tells which calls people must decide by the policy in force."""
    for log in history.requests.values():
        yield from _request(log)
    for log in history.trees.values():
        yield from _tree(log, history, gated)


def _request(log: Log) -> Iterator[str]:
    ends = [event for _, event in log.events() if isinstance(event, approval.Decided)]
    if len(ends) != 1:
        yield f"I9 the request {log.key} has {len(ends)} ends"
    for end in ends:
        if end.outcome == "approved":
            yield from _approved(log, end)
        if end.outcome in ("expired", "withdrawn") and end.by:
            yield f"I9 the request {log.key} {end.outcome}, and {end.by} are said to have decided it"


def _approved(log: Log, end: approval.Decided) -> Iterator[str]:
    opened = next(event for _, event in log.events() if isinstance(event, approval.Requested))
    voted = [event for _, event in log.events() if isinstance(event, approval.Voted)]
    saw = {one.principal for one in voted if one.digest == end.digest and one.vote in ("approve", "edit")}
    if not set(end.by) <= saw:
        yield f"I9 the request {log.key} was approved by {end.by}, of whom {saw} approved those bytes"
    if len(set(end.by)) < opened.request.rule.quorum:
        yield f"I9 the request {log.key} was approved by {end.by}, too few"
    if "mallory" in end.by:
        yield f"I9 the request {log.key} was approved by somebody who may not"
    if end.at_ms >= opened.expires_ms:
        yield f"I9 the request {log.key} was approved after its time"


def _tree(log: Log, history: History, gated: Callable[[Call], bool]) -> Iterator[str]:
    asked = {one.id: one for _, event in log.events() if isinstance(event, guard.Held) for one in event.requests}
    for entry, event in log.events():
        if isinstance(event, guard.Granted) and (gated(event.call) or event.call.id in asked):
            yield from _granted(entry.seq, event, asked.get(event.call.id), history)
        if isinstance(event, guard.Granted) and event.call.tool == names.ASK:
            yield f"I9 record {entry.seq} grants the question {event.call.id}"
        if isinstance(event, guard.Answered) and not _answered(event, history):
            yield f"I9 record {entry.seq} answers {event.call}, and nobody did"


def _granted(seq: int, event: guard.Granted, request: approval.Request | None, history: History) -> Iterator[str]:
    if request is None:
        yield f"I9 record {seq} grants {event.call.id}, about which nobody was asked"
        return
    decided = _decided(history, request.id)
    if decided is None or decided[1].outcome != "approved" or decided[1].digest != event.approved:
        yield f"I9 record {seq} grants {event.call.id}, which nobody approved like that"
    elif decided[0] > seq:
        yield f"I9 record {seq} grants {event.call.id} before it was approved"
    if approval.binding(request, event.call.arguments, edited=event.edited) != event.approved:
        yield f"I9 record {seq} grants other bytes of {event.call.id} than it says were approved"


def _decided(history: History, call: str) -> tuple[int, approval.Decided] | None:
    log = history.requests.get(call)
    found = [(entry.seq, event) for entry, event in log.events()] if log is not None else []
    return next(((seq, event) for seq, event in found if isinstance(event, approval.Decided)), None)


def _answered(event: guard.Answered, history: History) -> bool:
    decided = _decided(history, event.call)
    return decided is not None and decided[1].outcome == "answered" and decided[1].answer == event.answer
