"""A tree's records as spans: pure. A span comes out when what it is of has ended, and only once.

The run's own records decide when a call ended; the guard's tell when it was let go. Times are those at which the
broker stored the records, so that a run that waited three days has one span of three days.
"""

from collections.abc import Iterator
from typing import assert_never

import msgspec

from callboard.traces import names as n
from callboard.traces import spans
from callboard.traces.span import Event, Link, Span
from callboard.traces.tree import OpenCall, OpenRequest, OpenRun, Tree, run_span
from callboard_contracts import approval, guard, ids, names, run
from callboard_contracts.call import Call
from callboard_contracts.journal import Record

_Quiet = (
    guard.Opened | guard.Settled | guard.Refused | guard.Held | guard.Postponed | guard.Answered | guard.Withdrawn
    | guard.Waiting | guard.Cancelled | guard.Paused | guard.Resumed | guard.Steered | guard.Closing | guard.Armed
)  # fmt: skip
"""What the run says as well, or what is no part of a trace."""


class At(msgspec.Struct, frozen=True):
    """Where and when a record was stored."""

    run: str
    """Whose record it is; of a request to people: the call."""
    seq: int
    time_ms: int


def fold(tree: Tree, at: At, record: Record) -> list[Span]:
    """Take one record of a tree, in the order of its stream, and return what ended with it."""
    found: list[Span] = []
    for event in record.events:
        if isinstance(event, run.Event):
            found += _of_run(tree, at, event)
        elif isinstance(event, guard.Event):
            _of_guard(tree, event, at)
        else:
            found += _of_people(tree, at, event)
    return found


def pending(tree: Tree) -> list[Span]:
    """Return what has begun and not ended, as far as it is known."""
    calls = [spans.of_call(tree, call, opened) for call, opened in tree.calls.items()]
    runs = [spans.of_run(tree, name, opened) for name, opened in tree.runs.items()]
    return [*runs, *calls, *(spans.of_request(tree, call, opened) for call, opened in tree.requests.items())]


def _of_run(tree: Tree, at: At, event: run.Event) -> Iterator[Span]:
    match event:
        case run.Accepted():
            _accepted(tree, at, event)
        case run.Refused():
            tree.closed = tree.closed or at.run == tree.tree  # of a tree that never began, the guard says nothing
            yield spans.never_begun(tree, at.run, at.time_ms, event)
        case run.Called():
            for call in event.calls:
                tree.calls[call.id] = _asked(at, call, event.turn)
        case run.Took():
            for taken in event.results:
                yield from _taken(tree, at, taken)
        case run.Ended():
            yield from _ended(tree, at, event)
        case run.Parked() | run.Armed():
            return
        case (
            run.Noted() | run.Deferred() | run.Paused() | run.Resumed() | run.Steered() | run.Retried()
        ):  # fmt: skip
            _happened(tree, at, event)
        case _:
            assert_never(event)


def _accepted(tree: Tree, at: At, event: run.Accepted) -> None:
    tree.continues(event.traceparent)
    tree.runs[at.run] = OpenRun(
        started_ms=at.time_ms,
        source=at.seq,
        parent=event.parent,
        skill="" if event.skill == names.ADHOC else event.skill,
        digest=event.skill_digest,
        model=event.model,
        principal=event.goal.principal,
        labels=dict(event.goal.labels),
        links=_retries(event),
    )


def _retries(event: run.Accepted) -> tuple[Link, ...]:
    """Return a link to the run that is taken up again; its trace is its tree's own unless somebody brought one."""
    if event.goal.retry is None:
        return ()
    of = event.goal.retry.of
    return (Link(ids.trace_id(ids.tree_of(of)), run_span(of), {n.RETRY_OF: of}),)


def _asked(at: At, call: Call, turn: int) -> OpenCall:
    found = OpenCall(tool=call.tool, turn=turn, asked_ms=at.time_ms, source=at.seq, again=call.again)
    if call.tool == names.MODEL and isinstance(call.arguments, dict):
        found.model = str(call.arguments.get("model", ""))
        found.max_tokens = int(call.arguments.get("max_output_tokens", 0))
        found.summarises = run.summarises(call)
    return found


def _taken(tree: Tree, at: At, taken: run.Taken) -> Iterator[Span]:
    opened = tree.calls.pop(taken.call, None)
    if opened is not None:
        yield spans.of_call(tree, taken.call, opened, spans.Outcome.of(taken, at.time_ms))
    elif taken.late:
        yield spans.late(tree, taken, at.time_ms)


def _ended(tree: Tree, at: At, event: run.Ended) -> Iterator[Span]:
    for call in event.open:
        if (asked := tree.calls.pop(call, None)) is not None:
            yield spans.of_call(tree, call, asked, spans.Outcome(end_ms=at.time_ms, error="unanswered"))
    if (opened := tree.runs.pop(at.run, None)) is not None:
        yield spans.of_run(tree, at.run, opened, event, at.seq, at.time_ms)


_Happened = run.Noted | run.Deferred | run.Paused | run.Resumed | run.Steered | run.Retried


def _happened(tree: Tree, at: At, event: _Happened) -> None:
    if (opened := tree.runs.get(at.run)) is not None:
        opened.note(Event(f"callboard.{type(event).__name__.lower()}", at.time_ms, spans.told(event)))


def _of_guard(tree: Tree, event: guard.Event, at: At) -> None:
    match event:
        case guard.Granted():
            if (opened := tree.calls.get(event.call.id)) is not None:
                opened.granted_ms = at.time_ms
                opened.reserved, opened.unpriced = event.reserved_micro_usd, event.unpriced
                opened.approved_by, opened.edited = event.approved_by, event.edited
        case guard.Closed():
            tree.closed = tree.closed or event.run == tree.tree
        case _:
            _is_quiet(event)


def _is_quiet(_: _Quiet) -> None:
    """Say to the type checker that nothing else was left."""


def _of_people(tree: Tree, at: At, event: approval.Event) -> Iterator[Span]:
    match event:
        case approval.Requested():
            asked = event.request
            rule = asked.rule.name
            tree.requests[at.run] = OpenRequest(tool=asked.tool, rule=rule, asked_ms=at.time_ms, source=at.seq)
        case approval.Decided():
            if (decided := tree.requests.pop(at.run, None)) is not None:
                yield spans.of_request(tree, at.run, decided, event, at.time_ms)
        case approval.Voted() | approval.VoteRefused() | approval.Reminded() | approval.Escalated():
            if (opened := tree.requests.get(at.run)) is not None:
                name = "vote_refused" if isinstance(event, approval.VoteRefused) else type(event).__name__.lower()
                opened.events.append(Event(f"callboard.{name}", at.time_ms, spans.told(event)))
        case approval.Armed():
            return
        case _:
            assert_never(event)
