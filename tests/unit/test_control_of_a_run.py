"""What a person says to a run, as promises of the run actor."""

import pytest

from callboard.actor import SEEN, Dead
from callboard_contracts import model, names, run
from callboard_contracts.call import Completed, Failed, Refused
from callboard_contracts.goal import Limits
from callboard_contracts.journal import Record
from callboard_services.planner.accept import Start
from tests.unit.given import NOW, RUN, RunOf, facts, goal, message

LATER = NOW + 60_000


def paused(run_: RunOf, nth: int = 1, now: int = NOW) -> RunOf:
    run_.take(run.Pause(nth=nth, principal="ann"), now)
    return run_


def tool_result(run_: RunOf, now: int = NOW) -> object:
    (call,) = run_.open
    return run_.take(Completed(call=call, output="x"), now)


def test_a_paused_run_takes_results_and_asks_nothing() -> None:
    run_ = RunOf()
    run_.ask("echo")
    paused(run_)
    assert [type(event) for event in tool_result(run_)] == [run.Took]  # type: ignore[attr-defined]
    assert run_.open == []


def test_a_resumed_run_goes_on_where_it_stopped() -> None:
    run_ = RunOf()
    run_.ask("echo")
    paused(run_)
    tool_result(run_)
    run_.take(run.Resume(nth=2), LATER)
    assert run_.last(run.Called).calls[0].tool == names.MODEL


def test_a_run_that_is_resumed_while_a_call_runs_waits_for_it() -> None:
    run_ = RunOf()
    run_.ask("echo")
    paused(run_)
    run_.take(run.Resume(nth=2), LATER)
    assert run_.state.paused_ms == 0
    assert run_.last(run.Called).calls[0].tool == "echo"


def test_the_clocks_of_a_paused_run_stand_still() -> None:
    run_ = RunOf(goal(limits=Limits(timeout_s=30)))
    run_.ask("echo")
    deadline = run_.state.open[run_.open[0]].deadline_ms
    paused(run_)
    assert run_.actor.timer_ms(run_.state) == 0
    assert run_.take(run.Wake(), LATER) == SEEN
    run_.take(run.Resume(nth=2), LATER)
    assert run_.state.deadline_ms == NOW + 30_000 + 60_000
    assert run_.state.open[run_.open[0]].deadline_ms == deadline + 60_000
    assert run_.actor.timer_ms(run_.state) > 0


def test_a_pause_that_comes_after_its_resumption_changes_nothing() -> None:
    run_ = RunOf()
    run_.take(run.Resume(nth=2))
    assert run_.take(run.Pause(nth=1)) == SEEN
    assert run_.state.paused_ms == 0


def test_a_model_call_that_the_guard_refuses_for_a_pause_is_made_after_it_and_counts_once() -> None:
    run_ = paused(RunOf())
    refused = run_.take(Refused(call=run_.open[0], code="paused", message="it is paused"))
    assert [type(event) for event in refused] == [run.Took]  # type: ignore[union-attr]
    run_.take(run.Resume(nth=2), LATER)
    assert (run_.state.asked, run_.last(run.Called).calls[0].tool) == (1, names.MODEL)


def test_a_refusal_for_a_pause_that_comes_before_the_word_is_tried_again_soon() -> None:
    run_ = RunOf()
    run_.take(Refused(call=run_.open[0], code="paused", message="it is paused"))
    assert run_.last(run.Deferred).code == "paused"
    run_.take(run.Wake(), run_.state.deferred_ms)
    assert (run_.state.asked, run_.state.failures, len(run_.open)) == (1, 0, 1)


def test_a_paused_run_can_be_cancelled() -> None:
    run_ = paused(RunOf())
    run_.take(run.Cancel())
    assert run_.ended.status == "cancelled"


def test_what_a_person_says_makes_an_answer_that_did_not_know_it_not_the_last() -> None:
    run_ = RunOf()
    run_.take(run.Steer(text="in French"), cause="s1")
    run_.answer(model.Answer(finished=True, output="hello"))
    assert not run_.state.ended
    run_.answer(model.Answer(finished=True, output="bonjour"))
    assert run_.ended.output == "bonjour"


def test_what_a_person_says_is_noted_once_however_often_it_is_delivered() -> None:
    run_ = RunOf()
    run_.take(run.Steer(text="in French"), cause="s1")
    assert run_.take(run.Steer(text="in French"), cause="s1") == SEEN
    assert isinstance(run_.take(run.Steer(text="in French"), cause="s2"), tuple)


@pytest.mark.parametrize("word", [run.Pause(nth=1), run.Resume(nth=1), run.Steer(text="x"), run.Cancel()])
def test_nothing_that_is_said_after_the_end_changes_it(word: object) -> None:
    run_ = RunOf()
    run_.answer(model.Answer(finished=True, output="done"))
    assert run_.take(word) == SEEN


def failed_call(run_: RunOf) -> tuple[str, dict[int, Record]]:
    """Let the model ask for a tool that fails; return the call, and the record that asked for it."""
    run_.ask("echo")
    called = run_.last(run.Called)
    (call,) = run_.open
    run_.take(Failed(call=call, code="tool_failed", message="no"))
    return call, {7: Record(causes=("x",), events=(called,))}


def test_a_failed_call_is_made_again_with_its_arguments_once_the_model_has_answered() -> None:
    run_ = RunOf()
    call, records = failed_call(run_)
    run_.take(run.Retry(call=call, source=7), cause="r1", records=records)
    assert run_.last(run.Called).calls[0].tool == names.MODEL
    run_.answer(model.Answer(finished=True, output="gave up on it"))
    (again,) = run_.last(run.Called).calls
    assert (again.tool, again.arguments, again.again) == ("echo", {"text": "hi"}, call)
    tool_result(run_)
    assert run_.last(run.Called).calls[0].tool == names.MODEL


def test_a_failed_call_is_made_again_at_once_while_other_tools_run() -> None:
    run_ = RunOf()
    run_.ask("echo", "echo")
    records = {7: Record(causes=("x",), events=(run_.last(run.Called),))}
    failed, other = run_.open
    run_.take(Failed(call=failed, code="tool_failed", message="no"))
    run_.take(run.Retry(call=failed, source=7), cause="r1", records=records)
    assert run_.last(run.Called).calls[0].again == failed
    run_.take(Completed(call=other, output="x"))
    assert len(run_.open) == 1


def test_a_wish_to_repeat_a_call_that_this_run_never_made_is_set_aside() -> None:
    run_ = RunOf()
    assert isinstance(run_.take(run.Retry(call=f"{RUN}-9-0", source=7), cause="r1"), Dead)


def test_a_goal_that_lay_too_long_is_refused_and_one_that_did_not_has_its_whole_time() -> None:
    actor, wanted = RunOf().actor, goal(limits=Limits(start_timeout_s=5, timeout_s=30))
    late = actor.decide(actor.initial(), message(Start(goal=wanted, digest="d", waited_ms=5001)), facts())
    assert isinstance(late, tuple)
    assert [event.code for event in late if isinstance(event, run.Refused)] == ["start_timeout"]
    taken = actor.decide(actor.initial(), message(Start(goal=wanted, digest="d", waited_ms=4000)), facts())
    assert isinstance(taken, tuple)
    assert isinstance(taken[0], run.Accepted)
    assert taken[0].deadline_ms == NOW + 4000 + 30_000


def test_a_result_that_comes_after_the_end_is_booked_once_and_causes_nothing() -> None:
    run_ = RunOf()
    (call,) = run_.open
    run_.take(run.Cancel())
    (took,) = run_.take(Completed(call=call, output="x"))  # type: ignore[misc]
    assert isinstance(took, run.Took)
    assert took.results[0].late
    assert run_.take(Completed(call=call, output="x")) == SEEN


def ask_and_fail(run_: RunOf, tool: str, code: str) -> None:
    run_.ask(tool)
    if run_.open:
        run_.take(Failed(call=run_.open[0], code=code, message="no"))


def test_the_same_failing_call_again_and_again_is_told_to_the_model_and_then_ends_the_run() -> None:
    run_ = RunOf(goal(limits=Limits(max_turns=50)))
    for _ in range(3):
        ask_and_fail(run_, "echo", "tool_failed")
    assert "echo (tool_failed)" in run_.last(run.Noted).text
    for _ in range(2):
        ask_and_fail(run_, "echo", "tool_failed")
    assert (run_.ended.code, run_.ended.status) == ("loop_detected", "failed")
    assert "the same call failed 5 times: echo (tool_failed)" in run_.ended.reason


def test_two_plans_that_alternate_are_told_and_then_end_the_run() -> None:
    run_ = RunOf(goal(limits=Limits(max_turns=50)))
    for turn in range(10):
        run_.ask("echo" if turn % 2 else "note")
        tool_result(run_)
        if turn == 5:
            assert "two plans alternated 3 times" in run_.last(run.Noted).text
    assert run_.ended.code == "loop_detected"


def test_a_tool_that_answers_something_new_each_time_is_no_circle() -> None:
    run_ = RunOf(goal(limits=Limits(max_turns=50)))
    for turn in range(12):
        run_.ask("echo")
        run_.take(Completed(call=run_.open[0], output="x" * turn))
    assert not run_.state.ended
    assert not any(isinstance(event, run.Noted) for event in run_.events)


def test_a_different_failure_breaks_the_circle() -> None:
    run_ = RunOf(goal(limits=Limits(max_turns=50)))
    for code in ("a", "a", "b", "a", "a", "c", "a", "b"):
        ask_and_fail(run_, "echo", code)
    assert not any(isinstance(event, run.Noted) for event in run_.events)
