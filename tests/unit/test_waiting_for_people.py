"""While a person decides no clock of the run goes on, whatever else happens to it; then all go on where they stood."""

import msgspec
import pytest

from callboard.actor import SEEN, Dead
from callboard_contracts import run
from callboard_contracts.call import Completed, Lost, Refused
from callboard_contracts.goal import Limits
from callboard_services.planner.observe import Answer
from tests.unit.asking import known
from tests.unit.given import NOW, RunOf, goal

HOUR = 3_600_000
DAY = 24 * HOUR


def waiting(*tools: str, now: int = NOW + 1_000) -> RunOf:
    """Return a run whose first tool call waits for a person since `now`."""
    found = RunOf(goal(limits=Limits(timeout_s=600.0)))
    found.ask(*(tools or ("note",)))
    found.take(run.Park(nth=1, calls=(found.open[0],)), now)
    return found


def timer(found: RunOf) -> int:
    return found.actor.timer_ms(found.state)


def test_a_run_that_waits_for_a_person_has_no_timer() -> None:
    found = waiting()
    assert timer(found) == 0
    assert found.take(run.Wake(), NOW + DAY) == SEEN
    assert found.state.live


def test_after_days_the_call_and_the_run_have_the_time_that_was_left() -> None:
    found = waiting()
    call = found.open[0]
    call_ms, run_ms = found.state.open[call].deadline_ms, found.state.deadline_ms
    found.take(run.Park(nth=2), NOW + 1_000 + 3 * DAY)
    assert found.state.open[call].deadline_ms == call_ms + 3 * DAY
    assert found.state.deadline_ms == run_ms + 3 * DAY
    assert timer(found) == call_ms + 3 * DAY
    assert found.last(run.Armed).at_ms == timer(found)


def test_a_result_sets_the_clocks_going_without_a_further_word() -> None:
    found = waiting()
    run_ms = found.state.deadline_ms
    found.take(Refused(call=found.open[0], code="approval_denied", message="no"), NOW + 1_000 + DAY)
    assert found.state.parked == {}
    assert found.state.deadline_ms == run_ms + DAY
    assert found.state.open, "the model is asked"
    found.take(run.Park(nth=2), NOW + 2 * DAY)
    assert found.state.deadline_ms == run_ms + DAY


def test_other_calls_of_the_turn_keep_their_own_time() -> None:
    found = waiting("note", "echo")
    other = found.open[1]
    due = found.state.open[other].deadline_ms
    assert timer(found) == due
    found.take(run.Wake(), due)
    assert other not in found.state.open, "it was given up"
    assert found.state.live
    assert timer(found) == 0


def test_an_older_word_that_comes_later_changes_nothing() -> None:
    found = waiting()
    found.take(run.Park(nth=3), NOW + 2_000)
    assert found.take(run.Park(nth=2, calls=tuple(found.open)), NOW + 3_000) == SEEN
    assert found.state.parked == {}


def test_what_is_paused_and_waits_for_a_person_stands_still_once_and_not_twice() -> None:
    found = waiting(now=NOW + 10_000)
    call = found.open[0]
    call_ms, run_ms = found.state.open[call].deadline_ms, found.state.deadline_ms
    found.take(run.Pause(nth=1), NOW + 20_000)
    found.take(run.Resume(nth=2), NOW + 30_000)
    assert timer(found) == 0, "a person still decides"
    found.take(run.Park(nth=2), NOW + 50_000)
    assert found.state.open[call].deadline_ms == call_ms + 40_000
    assert found.state.deadline_ms == run_ms + 40_000


def test_a_pause_that_outlasts_the_decision_keeps_the_clocks_still() -> None:
    found = waiting(now=NOW + 10_000)
    run_ms = found.state.deadline_ms
    found.take(run.Pause(nth=1), NOW + 20_000)
    found.take(run.Park(nth=2), NOW + 30_000)
    assert timer(found) == 0
    found.take(run.Resume(nth=2), NOW + 50_000)
    assert found.state.deadline_ms == run_ms + 40_000


def test_two_calls_that_wait_stand_still_each_for_itself() -> None:
    found = RunOf()
    found.ask("note", "note")
    first, second = found.open
    before = {call: kept.deadline_ms for call, kept in found.state.open.items()}
    run_ms = found.state.deadline_ms
    found.take(run.Park(nth=1, calls=(first, second)), NOW + 1_000)
    found.take(run.Park(nth=2, calls=(second,)), NOW + 5_000)
    found.take(run.Park(nth=3), NOW + 9_000)
    assert found.state.open[first].deadline_ms == before[first] + 4_000
    assert found.state.open[second].deadline_ms == before[second] + 8_000
    assert found.state.deadline_ms == run_ms + 8_000


def test_a_call_that_answered_meanwhile_does_not_wait() -> None:
    found = RunOf()
    found.ask("note")
    call = found.open[0]
    found.take(Completed(call=call, output={}), NOW)
    found.take(run.Park(nth=1, calls=(call,)), NOW + 1_000)
    assert found.state.parked == {}
    assert timer(found) > 0


def test_the_run_ends_when_nobody_decided_and_the_rule_says_so() -> None:
    found = waiting("note", "echo")
    left = found.open[1]
    found.take(Refused(call=found.open[0], code="approval_expired", message="too late", ends=True), NOW + DAY)
    assert (found.ended.status, found.ended.code, found.ended.open) == ("failed", "approval_expired", (left,))


def test_a_denial_is_a_result_that_the_model_reads_before_it_goes_on() -> None:
    found = waiting()
    found.take(Refused(call=found.open[0], code="approval_denied", message="denied by ann: too much"), NOW + DAY)
    taken = found.last(run.Took).results[0]
    assert (taken.status, taken.code, taken.message) == ("refused", "approval_denied", "denied by ann: too much")
    assert found.last(run.Called).calls[0].tool == "model"


@pytest.mark.parametrize("end", [run.Cancel(reason="no"), run.Steer(text="hurry")])
def test_a_waiting_run_is_cancelled_and_steered_as_any_other(end: run.Cancel | run.Steer) -> None:
    found = waiting()
    found.take(end, NOW + DAY)
    assert found.state.ended == isinstance(end, run.Cancel)
    assert timer(found) == 0


def test_a_pause_that_an_older_state_holds_counts_from_its_own_time() -> None:
    found = RunOf()
    found.take(run.Pause(nth=1), NOW + 1_000)
    found.state = msgspec.structs.replace(found.state, still_ms=0)  # as before clocks were kept apart
    run_ms = found.state.deadline_ms
    found.take(run.Resume(nth=2), NOW + 4_000)
    assert found.state.deadline_ms == run_ms + 3_000


def test_only_a_person_answers_a_question_whatever_an_executor_says() -> None:
    found = RunOf(known=known())
    found.ask("human.ask", "note")
    question, other = found.open
    result = Completed(call=question, output={"answer": "yes", "by": "ann"})
    assert isinstance(found.take(result), Dead)
    assert isinstance(found.take(Lost(call=question, message="?")), Dead)
    assert isinstance(found.take(Answer(Completed(call=other))), Dead)
    assert found.open == [question, other]
    found.take(Answer(result))
    assert found.open == [other]
    assert found.take(Answer(result)) == SEEN


def test_a_word_to_a_run_that_ended_changes_nothing() -> None:
    found = RunOf()
    found.take(run.Cancel())
    assert found.take(run.Park(nth=1, calls=("x",))) == SEEN


def test_only_what_waits_is_parked_and_the_event_says_when() -> None:
    found = waiting("note", "echo", now=NOW + 7)
    parked = found.last(run.Parked)
    assert (parked.at_ms, parked.nth, parked.calls) == (NOW + 7, 1, (found.open[0],))
