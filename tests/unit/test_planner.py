"""The run actor, as promises."""

import msgspec
import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from callboard.actor import SEEN, Dead
from callboard_contracts import guard, ids, model, names, run
from callboard_contracts.call import Completed, Failed, Lost, Refused, Usage
from callboard_contracts.goal import Limits
from callboard_contracts.journal import Record
from callboard_services.guard.settling import told
from callboard_services.planner import steps
from callboard_services.planner.accept import Start
from tests.unit.given import ADDRESS, NOW, RUN, RunOf, facts, goal, message


def settled(run_: RunOf, type_: type[run.Called | run.Ended]) -> dict[str, tuple[int, int]]:
    """What the guard reads of costs in the last record with such an event, which also took results."""
    record = Record(causes=("x",), events=(run_.last(run.Took), run_.last(type_)))
    return {call: (cost, tokens) for call, cost, tokens in told(record, run_.last(type_).settled)}


def test_results_that_earlier_records_took_are_settled_by_the_record_that_ends_the_step() -> None:
    run_ = RunOf()
    run_.ask("echo", "echo")
    first, second = run_.open
    run_.take(Completed(call=first, output="x", usage=Usage(cost_micro_usd=3)))
    run_.take(Completed(call=second, output="x", usage=Usage(cost_micro_usd=4)))
    assert run_.last(run.Called).settled == ((first, 3, 0),)
    assert settled(run_, run.Called) == {first: (3, 0), second: (4, 0)}


def test_a_goal_becomes_a_run_that_asks_the_model() -> None:
    run_ = RunOf()
    assert isinstance(run_.started, tuple)
    assert [type(event) for event in run_.started] == [run.Accepted, run.Called, run.Armed]
    assert run_.open == [f"{RUN}-1-0"]
    assert run_.last(run.Called).calls[0].tool == names.MODEL


def test_the_same_goal_sent_twice_is_one_run() -> None:
    run_ = RunOf()
    assert run_.take(Start(goal=goal(), digest="d")) == SEEN


def test_another_goal_under_the_same_id_is_set_aside_and_leaves_the_run_alone() -> None:
    run_ = RunOf()
    assert run_.take(Start(goal=goal(objective="other"), digest="e")) == Dead(
        "conflict", f"the id {RUN} was used for another goal"
    )
    assert not run_.state.ended


@pytest.mark.parametrize(
    ("changes", "skill", "code"),
    [
        ({"objective": " "}, "", "empty_goal"),
        ({"contract": {"type": "nonsense"}}, "", "invalid_contract"),
        ({"contract": {"$ref": "file:///etc/hostname"}}, "", "invalid_contract"),
        ({"contract": {"$ref": "http://127.0.0.1:1/schema"}}, "", "invalid_contract"),
        ({"tools": ("no.such",)}, "", "unknown_tool"),
        ({"model": "no-such"}, "", "unknown_model"),
        ({"limits": Limits(max_turns=0)}, "", "invalid_goal"),
        ({}, "no-such", "unknown_skill"),
    ],
)
def test_a_goal_that_cannot_be_started_is_refused_with_its_code(
    changes: dict[str, object], skill: str, code: str
) -> None:
    actor = RunOf().actor
    start = Start(goal=goal(**changes), skill=skill, digest="d")
    decision = actor.decide(actor.initial(), message(start), facts())
    assert isinstance(decision, tuple)
    assert [event.code for event in decision if isinstance(event, run.Refused)] == [code]


def test_tools_that_the_model_asks_for_are_proposed_in_one_turn() -> None:
    run_ = RunOf()
    run_.ask("echo", "note")
    assert run_.open == [f"{RUN}-2-0", f"{RUN}-2-1"]
    assert settled(run_, run.Called) == {f"{RUN}-1-0": (7, 110)}


def test_the_model_is_asked_again_only_when_every_call_has_answered() -> None:
    run_ = RunOf()
    run_.ask("echo", "note")
    run_.take(Completed(call=f"{RUN}-2-1", output="b"))
    assert run_.open == [f"{RUN}-2-0"]
    run_.take(Refused(call=f"{RUN}-2-0", code="unknown_tool", message="no"))
    assert run_.open == [f"{RUN}-3-0"]


def test_an_answer_that_fits_the_contract_completes_the_run() -> None:
    run_ = RunOf(goal(contract={"type": "integer"}))
    run_.answer(model.Answer(finished=True, output=42))
    assert (run_.ended.status, run_.ended.output, run_.ended.turns) == ("completed", 42, 1)
    assert settled(run_, run.Ended) == {f"{RUN}-1-0": (7, 110)}


def test_an_answer_off_the_contract_is_shown_to_the_model_and_never_delivered() -> None:
    run_ = RunOf(goal(contract={"type": "integer"}))
    run_.answer(model.Answer(finished=True, output="42"))
    assert "integer" in run_.last(run.Noted).text
    run_.answer(model.Answer(finished=True, output=43))
    assert run_.ended.output == 43


def test_answers_that_never_fit_end_the_run_after_a_bounded_number() -> None:
    run_ = RunOf(goal(contract={"type": "integer"}))
    for _ in range(steps.MAX_REJECTED + 1):
        run_.answer(model.Answer(finished=True, output="no"))
    assert (run_.ended.status, run_.ended.code, run_.ended.output) == ("failed", "contract_unmet", None)


def test_an_invented_value_is_not_accepted_when_the_goal_wants_evidence() -> None:
    run_ = RunOf(goal(grounded=True))
    for _ in range(steps.MAX_REJECTED + 1):
        run_.answer(model.Answer(finished=True, output="Paris", ungrounded=("",)))
    assert (run_.ended.status, run_.ended.code) == ("unachievable", "ungrounded")


def test_giving_up_is_an_honest_ending_with_its_reason() -> None:
    run_ = RunOf()
    run_.answer(model.Answer(give_up="there is no such file"))
    assert (run_.ended.status, run_.ended.code, run_.ended.reason) == (
        "unachievable",
        "gave_up",
        "there is no such file",
    )


def test_the_turns_of_a_run_are_limited_by_name() -> None:
    run_ = RunOf(goal(limits=Limits(max_turns=1)))
    run_.ask("echo")
    run_.take(Completed(call=f"{RUN}-2-0", output="x"))
    assert (run_.ended.status, run_.ended.code) == ("failed", "iteration_budget")


def test_a_model_failure_is_tried_again_later_and_in_the_end_named() -> None:
    run_ = RunOf()
    now = NOW
    for _ in range(steps.MAX_FAILURES):
        call = run_.open[0]
        run_.take(Failed(call=call, code="provider_error", message="500", retryable=True), now)
        assert run_.open == []
        now = run_.state.armed_ms
        run_.take(run.Wake(), now)
    run_.take(Failed(call=run_.open[0], code="provider_error", message="500", retryable=True), now)
    assert (run_.ended.status, run_.ended.code) == ("failed", "provider_error")


def test_a_failure_that_repeating_cannot_mend_ends_the_run_at_once() -> None:
    run_ = RunOf()
    run_.take(Failed(call=run_.open[0], code="provider_auth", message="401"))
    assert run_.ended.code == "provider_auth"


def test_a_run_ends_when_its_time_is_over() -> None:
    run_ = RunOf(goal(limits=Limits(timeout_s=5)))
    run_.take(run.Wake(), NOW + 5000)
    assert (run_.ended.status, run_.ended.code, run_.ended.open) == ("failed", "time_budget", (f"{RUN}-1-0",))


def test_a_call_that_never_answers_is_given_up_and_its_late_result_is_only_booked() -> None:
    run_ = RunOf()
    run_.ask("echo")
    late = run_.state.armed_ms
    run_.take(run.Wake(), late)
    assert run_.last(run.Took).results[0].status == "lost"
    assert run_.open == [f"{RUN}-3-0"]
    assert settled(run_, run.Called) == {f"{RUN}-2-0": (run.IN_FULL, 0)}
    found = run_.take(Completed(call=f"{RUN}-2-0", output="x", usage=Usage(cost_micro_usd=3)))
    assert isinstance(found, tuple)
    assert found[0].results[0].late  # type: ignore[union-attr]
    assert run_.open == [f"{RUN}-3-0"]


def test_a_timer_that_nobody_expects_is_ignored() -> None:
    run_ = RunOf()
    assert run_.take(run.Wake(), NOW + 1) == SEEN


def test_a_result_of_a_call_that_was_never_asked_for_is_set_aside() -> None:
    run_ = RunOf()
    assert isinstance(run_.take(Completed(call=f"{RUN}-9-0", output=1)), Dead)


def test_a_lost_outcome_is_told_to_the_model_as_lost() -> None:
    run_ = RunOf()
    run_.ask("echo")
    run_.take(Lost(call=f"{RUN}-2-0", message="the process died"))
    assert run_.last(run.Took).results[0].status == "lost"
    assert not run_.state.ended


def test_cancelling_ends_a_run_once() -> None:
    run_ = RunOf()
    run_.take(run.Cancel(principal="ann"))
    assert run_.ended.status == "cancelled"
    assert run_.take(run.Cancel()) == SEEN


def test_a_run_that_is_cancelled_before_it_began_ends_and_never_begins() -> None:
    run_ = RunOf()
    state = run_.actor.initial()
    decision = run_.actor.decide(state, message(run.Cancel(reason="no")), run_.facts)
    assert isinstance(decision, tuple)
    assert [event.status for event in decision if isinstance(event, run.Ended)] == ["cancelled"]
    after = run_.actor.evolve(state, decision[0])
    assert run_.actor.decide(after, message(Start(goal=goal(), digest="d")), run_.facts) == SEEN


def test_the_end_of_a_sub_agent_is_its_parents_result() -> None:
    child = f"{RUN}-2-0"
    run_ = RunOf(goal(id=child), parent=RUN)
    run_.answer(model.Answer(finished=True, output="done"))
    record = Record(causes=("x",), events=tuple(run_.events))
    address = msgspec.structs.replace(ADDRESS, run=child)
    (command,) = run_.actor.commands(address, record)
    assert command.subject.endswith(f".{RUN}.in.child")
    assert command.body == Completed(call=child, output="done")


def test_more_calls_than_may_run_at_once_are_cut_and_the_model_is_told() -> None:
    run_ = RunOf()
    run_.ask(*["echo"] * (steps.MAX_PARALLEL + 3))
    assert len(run_.open) == steps.MAX_PARALLEL
    assert str(steps.MAX_PARALLEL) in run_.last(run.Noted).text


def test_a_snapshot_and_the_first_record_give_the_state_back() -> None:
    run_ = RunOf()
    run_.ask("echo")
    genesis = Record(causes=("x",), events=tuple(run_.events[:2]))
    assert run_.actor.restore(run_.actor.snapshot(run_.state), genesis) == run_.state


ANSWERS = st.one_of(
    st.just(model.Answer(finished=True, output="ok")),
    st.just(model.Answer(finished=True, output=1)),
    st.just(model.Answer(give_up="no")),
    st.just(model.Answer()),
    st.lists(st.sampled_from(["echo", "note"]), min_size=1, max_size=4).map(
        lambda tools: model.Answer(asks=tuple(model.Ask(tool=tool, arguments={}) for tool in tools))
    ),
)


@forall(st.lists(st.tuples(ANSWERS, st.booleans(), st.integers(0, 3)), max_size=25))
def test_whatever_happens_saying_it_again_changes_nothing_and_no_call_id_is_used_twice(
    moves: list[tuple[model.Answer, bool, int]],
) -> None:
    run_ = RunOf()
    said: list[object] = []
    for answer, fails, index in moves:
        if run_.state.ended:
            break
        call = run_.open[index % len(run_.open)] if run_.open else ""
        if not call:
            run_.take(run.Wake(), run_.state.armed_ms)
            continue
        is_model = run_.state.open[call].tool == names.MODEL
        output = msgspec.to_builtins(answer) if is_model else "x"
        body = (
            Failed(call=call, code="tool_failed", message="f", retryable=True)
            if fails
            else Completed(call=call, output=output)
        )
        run_.take(body)
        said.append(body)
        assert all(run_.take(old) == SEEN for old in said)
    calls = [call.id for event in run_.events if isinstance(event, run.Called) for call in event.calls]
    assert len(calls) == len(set(calls))
    assert sum(isinstance(event, run.Ended) for event in run_.events) == run_.state.ended
    assert all(ids.is_call(call) for call in calls)
    assert not any(isinstance(event, guard.Granted) for event in run_.events)
