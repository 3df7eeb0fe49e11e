"""A request is decided once, by people who may, on the bytes that they saw; the order of its log decides every race."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actor import SEEN, Dead
from callboard_contracts import approval, guard, notice, run, subjects
from callboard_contracts.journal import Record
from callboard_contracts.policy import Rule
from callboard_services.approval.actor import Approval
from callboard_services.approval.state import State
from tests.unit.asking import CALL, PAY, RULE, RequestOf, ask, known
from tests.unit.given import NOW, RUN

TWO = msgspec.structs.replace(RULE, quorum=2, approvers=("ann", "bob", "dan"))
WHERE = subjects.Address.of_request("acme", CALL)


def sent(found: RequestOf) -> list[msgspec.Struct]:
    record = Record(causes=("x",), events=tuple(found.events))
    return [command.body for command in found.actor.commands(WHERE, record)]


def decisions(found: RequestOf) -> list[approval.Decided]:
    return [event for event in found.events if isinstance(event, approval.Decided)]


def test_a_request_names_the_goal_and_who_started_it() -> None:
    opened = RequestOf().state.open
    assert (opened.objective, opened.skill, opened.principal) == ("Pay the bills.", "bills", "carl")
    assert opened.expires_ms == NOW + 100_000


def test_one_approval_decides_and_the_guard_and_people_are_told() -> None:
    found = RequestOf()
    assert found.votes_for("approve") == "counted"
    assert found.outcome == "approved"
    told = [body for body in sent(found) if isinstance(body, guard.Decide)]
    assert told == [guard.Decide(call=CALL, outcome="approved", digest=found.request.digest, by=("ann",))]
    stages = [body.stage for body in sent(found) if isinstance(body, notice.Approval)]
    assert stages == ["requested", "decided"]


def test_a_quorum_counts_different_people() -> None:
    found = RequestOf(TWO)
    assert found.votes_for("approve", "ann") == "counted"
    assert found.votes_for("approve", "ann") == "already_voted"
    assert found.outcome == ""
    assert found.votes_for("approve", "bob") == "counted"
    assert decisions(found)[0].by == ("ann", "bob")


def test_one_denial_decides_even_by_one_who_approved() -> None:
    found = RequestOf(TWO)
    found.votes_for("approve", "ann")
    assert found.votes_for("deny", "ann", reason="too much") == "counted"
    assert (found.outcome, decisions(found)[0].reason) == ("denied", "too much")


def test_a_vote_after_the_decision_changes_nothing_and_says_so() -> None:
    found = RequestOf()
    found.votes_for("deny")
    assert found.votes_for("approve", "bob", "finance") == "approval_decided"
    assert found.votes_for("deny") == "approval_decided"
    assert [one.outcome for one in decisions(found)] == ["denied"]


def test_the_same_vote_delivered_again_is_one_vote() -> None:
    found = RequestOf(TWO)
    vote = approval.Vote(vote="approve", digest=found.state.digest, principal="ann")
    found.takes(vote, cause="v")
    before = found.state
    assert found.takes(vote, cause="v") == SEEN
    assert found.state == before


@pytest.mark.parametrize(("principal", "groups"), [("eve", ()), ("eve", ("sales",)), ("finance", ()), ("", ())])
def test_who_is_not_named_may_not_decide(principal: str, groups: tuple[str, ...]) -> None:
    found = RequestOf()
    for vote in ("approve", "deny", "delegate"):
        assert found.votes_for(vote, principal, *groups, to="eve") == "not_approver"
    assert found.outcome == ""


def test_a_group_of_the_key_counts_as_the_name_does() -> None:
    assert RequestOf().votes_for("approve", "zoe", "finance") == "counted"


def test_where_nobody_is_named_whoever_has_a_key_decides() -> None:
    assert RequestOf(msgspec.structs.replace(RULE, approvers=())).votes_for("approve", "zoe") == "counted"


def test_who_started_the_run_may_not_approve_where_four_eyes_are_wanted_but_may_deny() -> None:
    rule = msgspec.structs.replace(RULE, four_eyes=True)
    found = RequestOf(rule, principal="ann")
    assert found.votes_for("approve", "ann") == "four_eyes"
    assert found.votes_for("edit", "ann", arguments={"amount": 1}) == "four_eyes"
    assert found.votes_for("deny", "ann") == "counted"


def test_an_approval_of_other_bytes_is_refused() -> None:
    found = RequestOf()
    assert found.votes_for("approve", digest="0" * 64) == "approval_changed"
    assert found.outcome == ""


def test_an_edit_is_approved_by_who_made_it_and_takes_back_what_others_approved() -> None:
    found = RequestOf(TWO)
    seen = found.state.digest
    found.votes_for("approve", "ann")
    assert found.votes_for("edit", "bob", arguments={"amount": 60}) == "counted"
    assert found.outcome == "", "ann approved other bytes"
    assert found.votes_for("approve", "dan", digest=seen) == "approval_changed"
    assert found.votes_for("approve", "ann") == "counted"
    decided = decisions(found)[0]
    assert (decided.edited, decided.arguments, decided.by) == (True, {"amount": 60}, ("bob", "ann"))
    assert decided.digest == approval.binding(found.request, {"amount": 60}, edited=True) != seen


def test_edited_arguments_fit_the_tools_schema_or_change_nothing() -> None:
    found = RequestOf()
    for wrong in ({"amount": "much"}, {}, None, {"amount": 1, "to": "x" * 40_000}):
        assert found.votes_for("edit", arguments=wrong) == "arguments_invalid"
    assert found.outcome == ""


def test_an_edit_for_a_tool_that_changed_is_refused() -> None:
    found = RequestOf()
    found.facts = known(RULE, pay=msgspec.structs.replace(PAY, version="2.0.0"))
    assert found.votes_for("edit", arguments={"amount": 60}) == "approval_changed"


def test_who_delegates_gives_the_vote_away() -> None:
    found = RequestOf(TWO)
    assert found.votes_for("delegate", "ann", to="eve") == "counted"
    assert found.votes_for("approve", "ann") == "not_approver"
    assert found.votes_for("approve", "eve") == "counted"
    assert found.votes_for("approve", "bob") == "counted"
    assert found.outcome == "approved"


@pytest.mark.parametrize("to", ["", " ", "ann"])
def test_a_delegation_names_somebody_else(to: str) -> None:
    assert RequestOf().votes_for("delegate", "ann", to=to) == "vote_invalid"


def test_a_question_is_answered_and_a_call_is_approved() -> None:
    question = RequestOf(Rule(name="q"), call=ask())
    assert question.votes_for("approve") == "vote_invalid"
    assert question.votes_for("answer", answer="blue") == "counted"
    assert (question.outcome, decisions(question)[0].answer) == ("answered", "blue")
    assert RequestOf().votes_for("answer", answer="blue") == "vote_invalid"


@pytest.mark.parametrize(
    ("more", "good", "bad"),
    [
        ({}, "blue", ""),
        ({}, "blue", 7),
        ({"choices": ["red", "blue"]}, "red", "green"),
        ({"schema": {"type": "integer"}}, 7, "seven"),
        ({"schema": {"type": "boolean"}}, False, None),
    ],
)
def test_an_answer_is_what_the_question_wants(more: dict[str, Any], good: Any, bad: Any) -> None:
    found = RequestOf(Rule(name="q"), call=ask(**more))
    assert found.votes_for("answer", answer=bad) == "vote_invalid"
    assert found.votes_for("answer", answer="x" * 40_000) == "vote_invalid"
    assert found.votes_for("answer", answer=good) == "counted"


def test_what_nobody_decides_expires_and_is_never_called_denied() -> None:
    found = RequestOf()
    found.takes(run.Wake(), NOW + 100_000)
    assert (found.outcome, decisions(found)[0].by) == ("expired", ())
    assert found.votes_for("approve", now=NOW + 100_001) == "approval_expired"


def test_a_vote_that_comes_before_the_timer_but_after_the_time_is_too_late() -> None:
    found = RequestOf()
    assert found.votes_for("approve", now=NOW + 100_000) == "approval_expired"
    assert found.outcome == "expired"
    assert found.takes(run.Wake(), NOW + 100_100) == SEEN


def test_people_are_reminded_then_others_may_decide_then_it_expires() -> None:
    rule = msgspec.structs.replace(RULE, remind_after_s=30.0, escalate_after_s=50.0, escalate_to=("group:bosses",))
    found = RequestOf(rule)
    fired = []
    assert found.votes_for("approve", "zed", "bosses") == "not_approver"
    while not found.outcome:
        fired.append(found.actor.timer_ms(found.state) - NOW)
        found.takes(run.Wake(), NOW + fired[-1])
        if fired[-1] == 50_000:
            assert found.state.may_decide("zed", ("bosses",))
    assert fired == [30_000, 50_000, 60_000, 90_000, 100_000]
    stages = [(body.stage, body.id) for body in sent(found) if isinstance(body, notice.Approval)]
    assert [stage for stage, _ in stages] == ["requested", "reminded", "escalated", "reminded", "reminded", "decided"]
    assert len({name for _, name in stages}) == len(stages)


def test_a_timer_that_comes_too_early_changes_nothing() -> None:
    found = RequestOf()
    assert found.takes(run.Wake(), NOW + 5) == SEEN
    assert found.actor.timer_ms(found.state) == NOW + 100_000


def test_a_withdrawal_closes_a_request_also_one_that_comes_after_it() -> None:
    found = RequestOf()
    found.takes(approval.Withdraw(request=CALL, reason="cancelled"))
    assert found.outcome == "withdrawn"
    assert [body for body in sent(found) if isinstance(body, guard.Decide)] == [], "the guard said it itself"
    assert found.takes(found.request) == SEEN
    late = RequestOf()
    late.state = late.actor.initial()
    late.takes(approval.Withdraw(request=CALL))
    assert late.takes(late.request) == SEEN
    assert late.votes_for("approve", digest="x") == "approval_decided"


def test_a_vote_about_nothing_goes_to_the_dead_letters() -> None:
    found = RequestOf()
    found.state = found.actor.initial()
    assert isinstance(found.takes(approval.Vote(vote="approve", digest="x", principal="ann")), Dead)


def test_a_snapshot_and_the_first_record_are_the_state() -> None:
    found = RequestOf(TWO)
    found.votes_for("edit", "bob", arguments={"amount": 60})
    genesis = Record(causes=("x",), events=(found.events[0],))
    assert found.actor.restore(found.actor.snapshot(found.state), genesis) == found.state


VOTES = st.lists(
    st.tuples(
        st.sampled_from(("approve", "deny", "edit", "delegate", "answer", "wake", "withdraw", "open")),
        st.sampled_from(("ann", "bob", "dan", "eve", "carl")),
        st.integers(1, 99),
        st.booleans(),
        st.integers(0, 40),
    ),
    max_size=14,
)


@given(VOTES)
def test_whatever_is_said_it_is_decided_at_most_once_and_approved_only_by_who_saw_the_bytes(
    said: list[tuple[Any, str, int, bool, int]],
) -> None:
    rule = msgspec.structs.replace(TWO, four_eyes=True)
    found, now = RequestOf(rule), NOW
    for what, who, amount, stale, later in said:
        now += later * 1000
        if what == "wake":
            found.takes(run.Wake(), now)
        elif what == "withdraw":
            found.takes(approval.Withdraw(request=CALL), now)
        elif what == "open":
            found.takes(found.request, now)
        else:
            digest = found.request.digest if stale else ""
            found.votes_for(what, who, now=now, digest=digest, arguments={"amount": amount}, to="eve")
    assert len(decisions(found)) <= 1
    for decided in decisions(found):
        voted = [one for one in found.events if isinstance(one, approval.Voted)]
        saw = {one.principal for one in voted if one.digest == decided.digest and one.vote in ("approve", "edit")}
        if decided.outcome == "approved":
            assert set(decided.by) <= saw
            assert len(set(decided.by)) >= 2
            assert "carl" not in decided.by


@given(VOTES)
def test_said_again_nothing_changes(said: list[tuple[Any, str, int, bool, int]]) -> None:
    found = RequestOf(TWO)
    for at, (what, who, amount, _, _) in enumerate(said):
        if what not in ("approve", "deny", "edit", "delegate"):
            continue
        vote = approval.Vote(
            vote=what, digest=found.state.digest, principal=who, arguments={"amount": amount}, to="eve"
        )
        found.takes(vote, cause=f"v{at}")
        before: State = found.state
        assert found.takes(vote, cause=f"v{at}") == SEEN
        assert found.state == before


def test_a_message_of_another_kind_goes_to_the_dead_letters() -> None:
    assert isinstance(RequestOf().takes(guard.Cancel(run=RUN)), Dead)


def test_its_timer_is_none_when_it_is_decided() -> None:
    found = RequestOf()
    found.votes_for("deny")
    assert Approval().timer_ms(found.state) == 0
    assert Approval().finished(found.state)
