"""Why a run waits for a person: which request, which rule, who may decide, since when and until when."""

from typing import Any

import msgspec

from callboard.why import Durable, Facts, Reason, Stored, fold, why
from callboard_contracts import approval, guard, run
from callboard_contracts.journal import Event
from tests.unit.asking import CALL, RULE, HeldOf, ask, pay, requested
from tests.unit.given import NOW, RUN

ALIVE = Durable(pulls=1)


def record(seq: int, *events: Event) -> Stored:
    return Stored(seq=seq, time_ms=NOW + seq, run=RUN, causes=(), events=events)


def told(
    *people: Event, rule: Any = RULE, tree: tuple[Event, ...] = (), alive: bool = True, call: Any = None
) -> Reason:
    proposed = call or pay()
    held = HeldOf(rule).asks(proposed)
    asked = approval.Requested(request=requested(held), at_ms=NOW, expires_ms=NOW + 100_000)
    facts = Facts(
        now_ms=NOW + 5_000,
        run=RUN,
        records=(record(1, run.Called(turn=2, at_ms=NOW, calls=(proposed,))),),
        tree=(record(2, *held, *tree),),
        lanes=dict.fromkeys(("goals", "planner", "guard", "approval"), ALIVE if alive else Durable()),
        people={CALL: (record(3, asked, *people),)} if alive else {},
    )
    (reason,) = why(facts)
    return reason


def test_a_run_that_waits_for_a_person_says_for_whom_and_how_long() -> None:
    reason = told()
    assert (reason.waiting_for, reason.call, reason.tool) == ("approval", CALL, "payments.send")
    assert (reason.since_ms, reason.until_ms, reason.detail) == (NOW + 2, NOW + 100_000, RULE.reason)
    assert "rule large: group:finance, ann may decide, until" in reason.sentence


def test_who_approved_already_and_who_may_decide_by_now_is_told() -> None:
    two = msgspec.structs.replace(RULE, quorum=2)
    digest = requested(HeldOf(two).asks(pay())).digest
    about = approval.About(tool="payments.send")
    reason = told(
        approval.Voted(id="a", vote="approve", principal="zoe", digest=digest, at_ms=NOW),
        approval.Voted(id="b", vote="delegate", principal="ann", to="eve", digest=digest, at_ms=NOW),
        approval.Escalated(at_ms=NOW, to=("group:bosses",), about=about),
        rule=two,
    )
    assert "group:finance, eve, group:bosses may decide (1 of 2 have approved), until" in reason.sentence


def test_a_run_stands_as_waiting_while_a_person_decides_and_as_paused_when_it_is_both() -> None:
    begun = fold.Own(begun=1, parked=(CALL,))
    assert (begun.status(), begun.status(paused=True)) == ("waiting", "paused")
    asked, parked = record(1, run.Called(turn=2, at_ms=NOW, calls=(pay(),))), run.Parked(at_ms=1, nth=1, calls=(CALL,))
    assert fold.own((asked, record(2, parked))).parked == (CALL,)
    assert fold.own((asked, record(2, parked), record(3, run.Parked(at_ms=2, nth=2)))).parked == ()


def test_a_question_is_told_in_its_own_words() -> None:
    reason = told(call=ask())
    assert reason.sentence.startswith("Its question waits for a person")
    assert reason.detail == "Which colour?"


def test_without_an_approval_service_that_is_what_is_missing() -> None:
    reason = told(alive=False)
    assert (reason.waiting_for, reason.advice) == ("approval", "Start the approval service.")


def test_what_was_decided_and_not_acted_on_waits_for_the_guard() -> None:
    reason = told(approval.Decided(outcome="approved", by=("ann",), at_ms=NOW + 4))
    assert (reason.waiting_for, reason.since_ms) == ("guard", NOW + 4)


def test_what_was_withdrawn_waits_for_no_person() -> None:
    assert told(tree=(guard.Withdrawn(calls=(CALL,)),)).waiting_for != "approval"
