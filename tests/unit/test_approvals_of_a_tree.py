"""No call for which a rule wants people runs before they approved those very bytes; a hold reserves nothing."""

from typing import Any

import msgspec
import pytest

from callboard_contracts import approval, call, guard, ids, run, subjects
from callboard_contracts.call import Call
from callboard_contracts.goal import Limits, Submit
from callboard_contracts.journal import Event, Record
from callboard_contracts.policy import Policy, Rule
from callboard_services.guard.actor import Guard
from callboard_services.guard.holding import MOST_ASKED
from callboard_services.guard.waiting import waits
from tests.unit.asking import CALL, PAY, RULE, HeldOf, ask, known, pay, requested, yes
from tests.unit.given import RUN, TreeOf, results_of

ADDRESS = subjects.Address.of_tree("acme", RUN)


def sent(found: list[Event]) -> list[Any]:
    return [command.body for command in Guard().commands(ADDRESS, Record(causes=("x",), events=tuple(found)))]


def echo(turn: int = 2, index: int = 0) -> Call:
    return Call(id=ids.call_id(RUN, turn, index), tool="echo", arguments={"text": "hi"})


def test_a_call_that_a_rule_concerns_is_held_and_reserves_nothing() -> None:
    tree = HeldOf(RULE)
    found = tree.asks(pay())
    request = requested(found)
    assert (request.tool, request.version, request.arguments, request.effect) == (
        "payments.send", "1.2.0", {"amount": 80, "to": "DE02"}, "irreversible",
    )  # fmt: skip
    assert (request.worst_micro_usd, request.rule.name, request.policy) == (100, "large", "policy:payments")
    assert request.accepted == 1, "the record that holds the goal"
    assert (tree.state.reserved, tree.state.reserved_micro_usd, tree.state.calls) == ({}, 0, 0)
    assert [type(body).__name__ for body in sent(found)] == ["Request", "Park"]


def test_the_other_calls_of_the_turn_go_on_beside_the_record() -> None:
    tree = HeldOf(RULE)
    found = tree.asks(pay(), echo(index=1))
    assert results_of(found) == ["granted"]
    grants = [body for body in sent(found) if isinstance(body, Record)]
    assert [event.call.tool for event in grants[0].events if isinstance(event, guard.Granted)] == ["echo"]
    assert len(grants[0].events) == 1, "the executor of one tool does not read the arguments of another"
    assert tree.actor.lane(found) == "held"


def test_arguments_that_do_not_fit_are_refused_before_anybody_is_asked() -> None:
    tree = HeldOf(msgspec.structs.replace(RULE, when=None))
    bad = msgspec.structs.replace(pay(), arguments={"amount": "much"})
    assert results_of(tree.asks(bad)) == ["arguments_invalid"]


def test_what_is_approved_is_granted_and_the_grant_says_by_whom() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    found = tree.hears(yes(request))
    granted = next(event for event in found if isinstance(event, guard.Granted))
    assert (granted.call, granted.approved, granted.approved_by) == (pay(), request.digest, ("ann",))
    assert not granted.edited
    assert tree.state.reserved_micro_usd == 100
    parks = [body for body in sent(found) if isinstance(body, run.Park)]
    assert parks == [run.Park(nth=2, calls=())]


def test_a_decision_that_is_said_again_changes_nothing() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    tree.hears(yes(request))
    assert tree.hears(yes(request)) == []
    assert tree.hears(guard.Decide(call=CALL, outcome="denied", digest=request.digest)) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(known(RULE, pay=msgspec.structs.replace(PAY, version="1.2.1")), id="the tool"),
        pytest.param(known(msgspec.structs.replace(RULE, quorum=2)), id="the rule"),
        pytest.param(known(msgspec.structs.replace(RULE, name="z", quorum=2), RULE), id="a new first rule"),
        pytest.param(known(), id="no rule"),
    ],
)
def test_what_changed_after_people_were_asked_is_refused(change: Any) -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    tree.facts = change
    assert results_of(tree.hears(yes(request))) == ["approval_mismatch"]
    assert tree.state.reserved == {}


def test_a_rule_about_other_calls_may_change_meanwhile() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    other = Policy(name="zz", rules=(Rule(name="other", tool=("note",)),))
    tree.facts = msgspec.structs.replace(tree.facts, policies=tree.facts.policies | {"zz": other})
    assert results_of(tree.hears(yes(request))) == ["granted"]


def test_an_approval_of_other_bytes_grants_nothing() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    tampered = {7: Record(causes=("x",), events=(run.Called(turn=2, at_ms=1, calls=(pay(9_000),)),))}
    for word, records in (
        (msgspec.structs.replace(yes(request), digest="0" * 64), tree.records),
        (msgspec.structs.replace(yes(request), edited=True, arguments={"amount": 9_000}), tree.records),
        (yes(request), tampered),
        (yes(request), {7: Record(causes=("x",), events=())}),
    ):
        again = HeldOf(RULE)
        again.asks(pay())
        again.records = dict(records)
        assert results_of(again.hears(word)) == ["approval_mismatch"]


def test_what_people_were_never_asked_is_not_granted_even_with_the_digest_of_today() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    tree.facts = known(RULE, pay=msgspec.structs.replace(PAY, version="1.2.1"))
    today = approval.binding(msgspec.structs.replace(request, version="1.2.1"))
    assert results_of(tree.hears(msgspec.structs.replace(yes(request), digest=today))) == ["approval_mismatch"]


def test_every_check_is_made_anew_after_the_decision() -> None:
    tree = HeldOf(RULE, limits=Limits(max_calls=1))
    request = requested(tree.asks(pay()))
    assert results_of(tree.asks(echo(turn=3), seq=8)) == ["granted"]
    assert results_of(tree.hears(yes(request))) == ["call_budget"]


def test_a_tool_that_is_gone_is_refused_whatever_people_said() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    tree.facts = msgspec.structs.replace(tree.facts, tools={"echo": tree.facts.tools["echo"]})
    assert results_of(tree.hears(yes(request))) == ["unknown_tool"]


def test_edited_arguments_run_in_the_place_of_the_proposed_ones_and_the_model_is_told() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    edited = {"amount": 60}
    word = msgspec.structs.replace(
        yes(request), edited=True, arguments=edited, digest=approval.binding(request, edited, edited=True)
    )
    found = tree.hears(word)
    granted = next(event for event in found if isinstance(event, guard.Granted))
    assert (granted.call.arguments, granted.edited, granted.approved) == (edited, True, word.digest)
    told = [body for body in sent(found) if isinstance(body, run.Steer)]
    assert len(told) == 1
    assert '{"amount":60}' in told[0].text


def test_edited_arguments_meet_the_tools_schema_once_more() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    bad = {"amount": "much"}
    word = msgspec.structs.replace(
        yes(request), edited=True, arguments=bad, digest=approval.binding(request, bad, edited=True)
    )
    assert results_of(tree.hears(word)) == ["arguments_invalid"]


def test_a_denial_and_an_expiry_reach_the_model_apart_with_the_reason() -> None:
    for outcome, code, reason in (("denied", "approval_denied", "too much"), ("expired", "approval_expired", "late")):
        tree = HeldOf(RULE)
        tree.asks(pay())
        found = tree.hears(guard.Decide(call=CALL, outcome=outcome, digest="", by=("ann",), reason=reason))  # type: ignore[arg-type]
        results = [body for body in sent(found) if isinstance(body, call.Refused)]
        assert [(one.code, one.ends) for one in results] == [(code, False)]
        assert reason in results[0].message


def test_a_rule_may_end_the_run_when_nobody_decides_in_time() -> None:
    tree = HeldOf(msgspec.structs.replace(RULE, on_expiry="fail"))
    tree.asks(pay())
    found = tree.hears(guard.Decide(call=CALL, outcome="expired", digest=""))
    assert [body.ends for body in sent(found) if isinstance(body, call.Refused)] == [True]


def test_a_question_is_always_held_and_its_answer_is_the_result() -> None:
    tree = HeldOf()
    request = requested(tree.asks(ask()))
    assert request.rule.name == "question"
    found = tree.hears(guard.Decide(call=CALL, outcome="answered", digest=request.digest, by=("ann",), answer="blue"))
    results = [body for body in sent(found) if isinstance(body, call.Completed)]
    assert [(one.call, one.output) for one in results] == [(CALL, {"answer": "blue", "by": "ann"})]
    assert tree.state.calls == 0, "only what is granted counts"


def test_a_question_is_never_granted_not_even_when_it_is_approved() -> None:
    tree = HeldOf()
    assert results_of(tree.hears(yes(requested(tree.asks(ask()))))) == ["approval_mismatch"]


def test_a_question_whose_schema_is_none_is_refused() -> None:
    assert results_of(HeldOf().asks(ask(schema={"type": "colour"}))) == ["arguments_invalid"]


def test_what_was_approved_while_the_run_was_paused_goes_on_when_it_is_resumed() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    tree.told(guard.Pause(run=RUN))
    found = tree.hears(yes(request))
    assert [type(event).__name__ for event in found] == ["Postponed"]
    assert tree.hears(yes(request)) == []
    assert results_of(tree.told(guard.Resume(run=RUN))) == ["granted"]


def test_what_was_denied_while_the_run_was_paused_is_refused_at_once() -> None:
    tree = HeldOf(RULE)
    tree.asks(pay())
    tree.told(guard.Pause(run=RUN))
    assert results_of(tree.hears(guard.Decide(call=CALL, outcome="denied", digest=""))) == ["approval_denied"]


def test_calls_that_a_pause_held_are_held_for_people_when_it_is_over() -> None:
    tree = HeldOf(RULE)
    tree.told(guard.Pause(run=RUN))
    assert [event.reason for event in tree.asks(pay()) if isinstance(event, guard.Held)] == ["paused"]
    assert requested(tree.told(guard.Resume(run=RUN))).id == CALL


def test_a_cancelled_run_takes_back_what_it_asked() -> None:
    tree = HeldOf(RULE)
    request = requested(tree.asks(pay()))
    found = tree.told(guard.Cancel(run=RUN))
    withdrawn = [body for body in sent(found) if isinstance(body, approval.Withdraw)]
    assert [one.request for one in withdrawn] == [CALL]
    assert tree.hears(yes(request)) == []


def test_a_run_that_ends_or_gives_the_call_up_takes_back_what_it_asked() -> None:
    lost = run.Taken(call=CALL, tool="payments.send", status="lost", seq=1, code="call_timeout")
    for event in (run.Ended(status="failed", open=(CALL,)), run.Took(results=(lost,))):
        tree = HeldOf(RULE)
        request = requested(tree.asks(pay()))
        found = tree.reads(event)
        assert isinstance(found, tuple)
        assert [one.calls for one in found if isinstance(one, guard.Withdrawn)] == [(CALL,)]
        assert tree.hears(yes(request)) == []


def test_a_tree_asks_people_about_so_many_calls_at_once() -> None:
    tree = HeldOf(RULE)
    found = tree.asks(*(pay(index=index) for index in range(MOST_ASKED + 1)))
    assert sum(isinstance(event, guard.Held) for event in found) == MOST_ASKED
    assert results_of(found) == ["approval_budget"]


def child_of(tree: HeldOf) -> str:
    """Grant the root a sub-agent that pays, and return the sub-agent."""
    child = ids.call_id(RUN, 2, 0)
    made = Call(id=child, tool="agent.run", arguments={"objective": "pay"}, timeout_s=305)
    tree.asks(made)
    tree.reads(accepted_of(child), name=child)
    return child


def accepted_of(name: str) -> run.Accepted:
    goal = Submit(id=name, objective="pay")
    return run.Accepted(goal=goal, goal_digest="d", contract={}, model="m", parent=RUN, deadline_ms=1)


def test_a_sub_agent_that_waits_for_a_person_lets_the_clocks_of_all_above_it_stand_still() -> None:
    tree = HeldOf(RULE)
    child = child_of(tree)
    found = tree.asks(pay(turn=1, name=child), seq=11, name=child)
    waiting = next(event for event in found if isinstance(event, guard.Waiting))
    assert {one.run: one.calls for one in waiting.runs} == {child: (f"{child}-1-0",), RUN: (child,)}
    found = tree.told(guard.Cancel(run=child))
    waiting = next(event for event in found if isinstance(event, guard.Waiting))
    assert {one.run: one.calls for one in waiting.runs} == {child: (), RUN: ()}
    assert waits(tree.state) == {}


def test_a_tree_that_no_rule_concerns_is_decided_as_before() -> None:
    plain, ruled = TreeOf(known=known()), HeldOf(RULE)
    assert plain.proposes(echo()) == ruled.asks(echo(), seq=1)
    assert msgspec.json.encode(ruled.state) == msgspec.json.encode(plain.state)
