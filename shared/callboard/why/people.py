"""A call that waits for people: for whom, by which rule, since when and until when. Pure, from the records alone."""

from collections.abc import Iterable
from typing import TypeVar

from callboard.why.facts import Facts, Stored
from callboard.why.reason import Reason
from callboard.why.words import at, lives
from callboard_contracts import approval, names


def waited_for(facts: Facts, request: approval.Request, since_ms: int) -> Reason:
    """Return what a call waits for about which people are asked."""
    records = facts.people.get(request.id, ())
    decided = _last(records, approval.Decided)
    opened = _last(records, approval.Requested)
    if decided is not None:
        return _decided(facts, request, decided)
    if opened is None:
        return _unasked(facts, request, since_ms)
    until, who = opened.expires_ms, ", ".join(_who(request, records)) or "whoever has a key"
    what = "Its question" if request.tool == names.ASK else f"The call of {request.tool}"
    return Reason(
        run=facts.run,
        waiting_for="approval",
        sentence=f"{what} waits for a person since {at(facts, since_ms)}, by the rule {request.rule.name}: "
        f"{who} may decide{_so_far(request, records)}, until {at(facts, until)}.",
        detail=_why(request),
        since_ms=since_ms,
        until_ms=until,
        tool=request.tool,
        call=request.id,
        advice=f"Look at it: callboard approvals show {request.id}",
    )


def _unasked(facts: Facts, request: approval.Request, since_ms: int) -> Reason:
    alive = lives(facts, "approval")
    rest = "the approval service is about to ask" if alive else "no approval service lives to ask one"
    return Reason(
        run=facts.run,
        waiting_for="approval",
        sentence=f"The call of {request.tool} is held for a person since {at(facts, since_ms)}, and {rest}.",
        detail=_why(request),
        since_ms=since_ms,
        tool=request.tool,
        call=request.id,
        advice="" if alive else "Start the approval service.",
    )


def _decided(facts: Facts, request: approval.Request, decided: approval.Decided) -> Reason:
    alive = lives(facts, "guard")
    rest = "the guard is about to act on it" if alive else "no guard lives to act on it"
    return Reason(
        run=facts.run,
        waiting_for="guard",
        sentence=f"The call of {request.tool} was {decided.outcome} at {at(facts, decided.at_ms)}; {rest}.",
        detail=decided.reason,
        since_ms=decided.at_ms,
        tool=request.tool,
        call=request.id,
        advice="" if alive else "Start a guard.",
    )


def _who(request: approval.Request, records: Iterable[Stored]) -> tuple[str, ...]:
    found, gone = dict.fromkeys(request.rule.approvers), set[str]()
    for event in (event for record in records for event in record.events):
        if isinstance(event, approval.Escalated):
            found |= dict.fromkeys(event.to)
        if isinstance(event, approval.Voted) and event.vote == "delegate":
            found |= {event.to: None}
            gone = (gone | {event.principal}) - {event.to}
    return tuple(name for name in found if name not in gone) if request.rule.approvers else ()


def _so_far(request: approval.Request, records: Iterable[Stored]) -> str:
    if request.rule.quorum == 1:
        return ""
    voted = [e for record in records for e in record.events if isinstance(e, approval.Voted)]
    digest = next((vote.digest for vote in reversed(voted) if vote.vote == "edit"), request.digest)
    count = len({vote.principal for vote in voted if vote.vote in ("approve", "edit") and vote.digest == digest})
    return f" ({count} of {request.rule.quorum} have approved)"


def _why(request: approval.Request) -> str:
    if request.tool == names.ASK and isinstance(request.arguments, dict):
        return str(request.arguments.get("question", ""))
    return request.rule.reason


E = TypeVar("E")


def _last(records: Iterable[Stored], type_: type[E]) -> E | None:
    found = [event for record in records for event in record.events if isinstance(event, type_)]
    return found[-1] if found else None
