"""What follows from a request's records: the word to the guard, and notices to people."""

from collections.abc import Iterable

from callboard.actor import Command
from callboard_contracts import approval, guard, ids, notice, subjects
from callboard_contracts.journal import Event, Record
from callboard_services.approval.closing import about
from callboard_services.approval.state import State


def commands(address: subjects.Address, record: Record) -> list[Command]:
    """Return what is sent because of a record."""
    return [command for event in record.events for command in _follows(address, event)]


def _follows(address: subjects.Address, event: Event) -> Iterable[Command]:
    match event:
        case approval.Requested():
            return [_notice(address, "requested", 1, about(State(requested=event)), event.at_ms)]
        case approval.Reminded():
            return [_notice(address, "reminded", event.nth, event.about, event.at_ms)]
        case approval.Escalated():
            return [_notice(address, "escalated", 1, event.about, event.at_ms)]
        case approval.Decided():
            return _decided(address, event)
        case _:
            return []


def _decided(address: subjects.Address, event: approval.Decided) -> Iterable[Command]:
    if event.outcome != "withdrawn":  # the guard said that itself
        where = subjects.Address.of_tree(address.tenant, ids.run_of(address.run)).at("in", "decided")
        yield Command(str(where), f"decided:{address.run}", _told(address.run, event))
    if event.about is not None:
        yield _notice(address, "decided", 1, event.about, event.at_ms, event)


def _told(call: str, event: approval.Decided) -> guard.Decide:
    return guard.Decide(
        call=call,
        outcome=event.outcome,
        digest=event.digest,
        by=event.by,
        reason=event.reason,
        edited=event.edited,
        arguments=event.arguments,
        answer=event.answer,
    )


def _notice(
    address: subjects.Address,
    stage: notice.Stage,
    nth: int,
    said: approval.About,
    at_ms: int,
    decided: approval.Decided | None = None,
) -> Command:
    told = notice.Approval(
        id=f"{address.run}_{stage}_{nth}",
        request=address.run,
        run=ids.run_of(address.run),
        stage=stage,
        tool=said.tool,
        objective=said.objective,
        reason=said.reason,
        approvers=said.approvers,
        quorum=said.quorum,
        expires_ms=said.expires_ms,
        outcome=decided.outcome if decided else "",
        by=decided.by if decided else (),
        at_ms=at_ms,
    )
    return Command(subjects.notice(address.tenant, "approval"), told.id, told)
