"""A tree's records as spans: what comes out, when, and with which ids."""

from typing import Any

import pytest

from callboard.traces import At, Span, begun, fold, pending
from callboard.traces import names as n
from callboard.traces.tree import late_span, request_span, run_span
from callboard_contracts import approval, guard, ids, run
from callboard_contracts.call import Call
from callboard_contracts.goal import Limits, Retry, Submit
from callboard_contracts.journal import Event, Record
from callboard_contracts.policy import Rule

TREE = "01KDVDNA00CDGPRV32DXGQ4S11"
CALL = f"{TREE}-1-0"
DAY_MS = 86_400_000


class Told:
    """A tree to which events are told one record after the other, a second apart."""

    def __init__(self, tree: str = TREE) -> None:
        self.tree = begun("acme", tree)
        self.spans: list[Span] = []
        self.seq = 0

    def say(self, *events: Event, run_id: str = "", at_ms: int = 0) -> list[Span]:
        """Fold one record and return what ended."""
        self.seq += 1
        at = At(run_id or self.tree.tree, self.seq, at_ms or self.seq * 1000)
        found = fold(self.tree, at, Record(causes=(), events=events))
        self.spans += found
        return found

    def accept(self, run_id: str = "", **more: Any) -> None:
        """Begin a run."""
        goal = more.pop("goal", None) or Submit(objective="a secret plan", principal="ada", labels={"team": "red"})
        accepted = run.Accepted(goal=goal, goal_digest="", contract={}, model="anthropic/claude", deadline_ms=1, **more)
        self.say(accepted, run_id=run_id)

    def ask(self, call: str = CALL, tool: str = "files.read", **more: Any) -> None:
        """Ask for a call and have it granted a second later."""
        asked = Call(id=call, tool=tool, **more)
        name = ids.run_of(call)
        self.say(run.Called(turn=ids.turn_of(call), at_ms=0, calls=(asked,)), run_id=name)
        self.say(guard.Granted(call=asked, source=self.seq, expires_ms=0, reserved_micro_usd=500), run_id=name)

    def take(self, call: str = CALL, tool: str = "files.read", **more: Any) -> list[Span]:
        """Take a result."""
        taken = run.Taken(call=call, tool=tool, seq=77, **({"status": "completed"} | more))
        return self.say(run.Took(results=(taken,)), run_id=ids.run_of(call))


@pytest.fixture
def told() -> Told:
    found = Told()
    found.accept()
    return found


def test_a_run_that_waited_three_days_has_one_span_of_three_days(told: Told) -> None:
    told.say(run.Paused(at_ms=0, nth=1, principal="ada", reason="a secret"), at_ms=5000)
    told.say(run.Resumed(at_ms=0, nth=2, principal="ada"), at_ms=5000 + 3 * DAY_MS)
    (span,) = told.say(run.Ended(status="completed", output="a secret"), at_ms=6000 + 3 * DAY_MS)
    assert span.end_ms - span.start_ms == 5000 + 3 * DAY_MS
    assert [(event.name, event.time_ms) for event in span.events] == [
        ("callboard.paused", 5000),
        ("callboard.resumed", 5000 + 3 * DAY_MS),
    ]


def test_a_goal_goes_on_with_the_trace_it_came_with() -> None:
    told = Told()
    told.accept(traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
    told.ask()
    call, ended = told.take()[0], told.say(run.Ended(status="completed"))[0]
    assert (call.trace_id, call.parent_id, call.sampled) == ("ab" * 16, run_span(TREE), True)
    assert (ended.trace_id, ended.parent_id) == ("ab" * 16, "cd" * 8)


@pytest.mark.parametrize("wrong", ["", "nonsense", f"00-{'0' * 32}-{'cd' * 8}-01", f"00-{'ab' * 16}-{'0' * 16}-01"])
def test_a_trace_context_that_is_none_is_passed_over(wrong: str) -> None:
    told = Told()
    told.accept(traceparent=wrong)
    (ended,) = told.say(run.Ended(status="completed"))
    assert (ended.trace_id, ended.parent_id, ended.sampled) == (ids.trace_id(TREE), "", None)


def test_a_trace_that_its_sender_does_not_keep_says_so() -> None:
    told = Told()
    told.accept(traceparent=f"00-{'ab' * 16}-{'cd' * 8}-00")
    assert told.say(run.Ended(status="completed"))[0].sampled is False


def test_a_sub_agents_run_happens_within_the_call_that_asked_for_it(told: Told) -> None:
    told.ask(CALL, "agent.run")
    told.accept(run_id=CALL, parent=TREE)
    (child,) = told.say(run.Ended(status="completed"), run_id=CALL)
    (call,) = told.take(CALL, "agent.run")
    assert child.parent_id == call.span_id == ids.span_id(CALL)
    assert child.span_id != call.span_id


def test_a_call_begins_when_it_is_granted_and_ends_when_its_run_took_the_result(told: Told) -> None:
    told.ask()
    (span,) = told.take()
    assert (span.start_ms, span.end_ms) == (3000, 4000)


def test_a_model_call_says_what_it_used(told: Told) -> None:
    arguments = {"model": "anthropic/claude", "max_output_tokens": 512}
    told.ask(CALL, "model", arguments=arguments)
    (span,) = told.take(CALL, "model", input_tokens=310, output_tokens=22, cost_micro_usd=120, model="claude-4-5")
    assert (span.name, span.kind) == ("chat anthropic/claude", "client")
    said = {
        n.OPERATION: "chat", n.PROVIDER: "anthropic", n.REQUEST_MODEL: "anthropic/claude", n.MAX_TOKENS: 512,
        n.RESPONSE_MODEL: "claude-4-5", n.INPUT_TOKENS: 310, n.OUTPUT_TOKENS: 22, n.COST: 120, n.TURN: 1,
    }  # fmt: skip
    assert said.items() <= span.attributes.items()


def test_a_refused_call_has_a_span_with_the_code_of_the_refusal(told: Told) -> None:
    asked = Call(id=CALL, tool="files.write")
    told.say(run.Called(turn=1, at_ms=0, calls=(asked,)))
    told.say(guard.Refused(call=CALL, tool="files.write", code="over_budget", message="no"))
    (span,) = told.take(CALL, "files.write", status="refused", code="over_budget", message="a secret")
    assert (span.start_ms, span.error) == (2000, "over_budget")
    assert (span.attributes[n.STATUS], span.attributes[n.ERROR]) == ("refused", "over_budget")


def test_an_unknown_outcome_is_an_error_and_never_a_success(told: Told) -> None:
    told.ask()
    (span,) = told.take(status="lost", message="it may have had its effect")
    assert span.error == "outcome_unknown"


def test_of_a_call_that_never_answered_nobody_says_what_it_cost(told: Told) -> None:
    told.ask()
    (span,) = told.take(status="lost", code="call_timeout")
    assert n.COST not in span.attributes
    assert span.attributes["callboard.reserved_micro_usd"] == 500


def test_a_call_that_is_open_when_its_run_ends_ends_with_it(told: Told) -> None:
    told.ask()
    call, ended = told.say(run.Ended(status="cancelled", code="cancelled", open=(CALL,)))
    assert (call.span_id, call.error, call.end_ms) == (ids.span_id(CALL), "unanswered", 4000)
    assert (ended.span_id, ended.error) == (run_span(TREE), "cancelled")


def test_a_late_result_is_a_span_of_its_own_within_the_calls(told: Told) -> None:
    told.ask()
    told.say(run.Ended(status="cancelled", open=(CALL,)))
    (span,) = told.take(late=True, cost_micro_usd=30)
    assert (span.span_id, span.parent_id) == (late_span(CALL), ids.span_id(CALL))
    assert (span.attributes[n.COST], span.attributes["callboard.late"]) == (30, True)


def test_a_call_that_is_made_again_links_to_the_one_that_failed(told: Told) -> None:
    again = f"{TREE}-2-0"
    told.ask(again, again=CALL)
    (span,) = told.take(again)
    assert [(link.trace_id, link.span_id) for link in span.links] == [(ids.trace_id(TREE), ids.span_id(CALL))]


def test_a_run_that_takes_up_another_links_to_it() -> None:
    other = "01KDVDNA00CDGPRV32DXGQ4S12"
    told = Told()
    told.accept(goal=Submit(objective="again", retry=Retry(of=other)))
    (span,) = told.say(run.Ended(status="completed"))
    assert [(link.trace_id, link.span_id) for link in span.links] == [(ids.trace_id(other), run_span(other))]


def test_a_refused_goal_is_a_span_without_length_and_the_tree_is_done() -> None:
    told = Told()
    (span,) = told.say(run.Refused(code="unknown_skill", message="a secret", skill="nope"))
    assert (span.name, span.error, span.end_ms - span.start_ms) == ("invoke_agent nope", "unknown_skill", 0)
    assert told.tree.done


def ask_people(told: Told) -> None:
    """Hold a call for people."""
    told.say(run.Called(turn=1, at_ms=0, calls=(Call(id=CALL, tool="mail.send"),)))
    asked = approval.Request(id=CALL, run=TREE, tool="mail.send", version="1", rule=Rule(name="mails"), digest="d")
    told.say(approval.Requested(request=asked, at_ms=0, expires_ms=0), run_id=CALL)


def test_a_wait_for_people_is_a_span_of_its_own_beside_the_call(told: Told) -> None:
    ask_people(told)
    vote = approval.Voted(id="v", vote="approve", principal="ada", digest="d", at_ms=0, reason="a secret")
    told.say(vote, run_id=CALL)
    (span,) = told.say(approval.Decided(outcome="approved", by=("ada",), at_ms=0), run_id=CALL, at_ms=DAY_MS)
    assert (span.span_id, span.parent_id, span.name) == (request_span(CALL), run_span(TREE), "approval mail.send")
    assert (span.start_ms, span.end_ms, span.error) == (3000, DAY_MS, "")
    assert span.attributes["callboard.decided_by"] == ("ada",)
    assert [event.name for event in span.events] == ["callboard.voted"]


@pytest.mark.parametrize("outcome", ["denied", "expired", "withdrawn"])
def test_a_request_that_was_not_approved_says_how_it_ended(told: Told, outcome: Any) -> None:
    ask_people(told)
    assert told.say(approval.Decided(outcome=outcome, at_ms=0), run_id=CALL)[0].error == outcome


def test_a_tree_that_is_closed_waits_for_its_last_request(told: Told) -> None:
    ask_people(told)
    told.say(run.Ended(status="cancelled", open=(CALL,)))
    told.say(guard.Closed(run=TREE))
    assert not told.tree.done
    told.say(approval.Decided(outcome="withdrawn", at_ms=0), run_id=CALL)
    assert told.tree.done


def test_what_goes_on_is_told_without_an_end(told: Told) -> None:
    told.ask()
    assert {(span.name, span.end_ms) for span in pending(told.tree)} == {
        ("invoke_agent", 0), ("execute_tool files.read", 0),
    }  # fmt: skip


def test_nothing_that_was_said_is_in_a_span(told: Told) -> None:
    told.ask(arguments={"text": "a secret"})
    told.take(status="failed", code="tool_failed", message="a secret")
    ask_people(told)
    told.say(approval.Decided(outcome="denied", reason="a secret", at_ms=0), run_id=CALL)
    told.say(run.Steered(id="s", text="a secret", principal="ada"), run.Noted(text="a secret", code="invalid"))
    told.say(run.Ended(status="unachievable", code="gave_up", reason="a secret"))
    assert len(told.spans) == 3
    assert "secret" not in repr(told.spans)


def test_a_run_in_which_much_happens_keeps_the_first_events_and_counts_the_others(told: Told) -> None:
    for _ in range(200):
        told.say(run.Noted(text="no", code="invalid"))
    (span,) = told.say(run.Ended(status="completed"))
    assert (len(span.events), span.dropped_events) == (128, 72)


def test_the_guards_own_words_begin_and_end_nothing(told: Told) -> None:
    quiet = (guard.Opened(run=TREE, limits=Limits()), guard.Settled(entries=()), guard.Armed(at_ms=1))
    assert told.say(*quiet) == []
