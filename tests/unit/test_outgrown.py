"""A run that outgrows its model's window has its older steps summed up, and goes on whatever comes of that."""

from typing import Any

import msgspec
import pytest

from callboard.actor import SEEN
from callboard_contracts import goal as goal_
from callboard_contracts import ids, model, names, run
from callboard_contracts.call import Call, Completed, Failed, Lost, Refused, Usage
from callboard_contracts.goal import Limits
from callboard_contracts.registry import Facts
from callboard_contracts.tool import Entry
from callboard_services.planner import outgrown
from callboard_services.planner.evolve import GRACE_MS
from tests.unit.given import NOW, RunOf, facts, goal

WINDOW = 10_000
LONG = 6000
"""Tokens: more than seven tenths of what a prompt may have beside the answer."""


def small(window: int = WINDOW) -> Facts:
    """Return a registry whose model reads so many tokens."""
    found = facts()
    entry = found.tools[names.MODEL]
    models = tuple(msgspec.structs.replace(one, context_tokens=window) for one in entry.spec.models)
    spec = msgspec.structs.replace(entry.spec, models=models)
    return msgspec.structs.replace(found, tools=found.tools | {names.MODEL: Entry(spec=spec, instances=1)})


def asked(run_: RunOf) -> Call:
    """Return the call that was proposed last."""
    (made,) = run_.last(run.Called).calls
    assert isinstance(made, Call)
    return made


def step(run_: RunOf, tokens: int, output: str = "x") -> None:
    """The model asks for a tool, having counted so many tokens, and the tool answers."""
    answer = model.Answer(asks=(model.Ask(tool="echo", arguments={"text": "hi"}),))
    usage = Usage(input_tokens=tokens, output_tokens=10)
    run_.take(Completed(call=run_.open[0], output=msgspec.to_builtins(answer), usage=usage))
    run_.take(Completed(call=run_.open[0], output=output))


def long_run(window: int = WINDOW, **more: Any) -> RunOf:
    """A run that is about to be summed up."""
    run_ = RunOf(goal(**more), known=small(window))
    step(run_, 200)
    step(run_, LONG)
    return run_


def summed_up(run_: RunOf, context_tokens: int = 900) -> Any:
    """The older steps are summed up."""
    summary = model.Summary(text="notes", through=5, answers=1, context_tokens=context_tokens)
    usage = Usage(cost_micro_usd=70, input_tokens=LONG, output_tokens=50)
    return run_.take(Completed(call=run_.open[0], output=msgspec.to_builtins(summary), usage=usage))


def test_a_run_that_fits_says_nothing_of_summaries() -> None:
    run_ = RunOf(known=small())
    for _ in range(5):
        step(run_, 400)
        assert asked(run_).arguments.keys() == {"model", "tools", "max_output_tokens", "prompt_tokens"}
    assert run_.state.summary == 0


def test_a_run_that_outgrows_the_window_is_summed_up_before_the_model_is_asked_again() -> None:
    run_ = long_run()
    wanted = asked(run_)
    assert run.summarises(wanted)
    assert wanted.arguments["max_output_tokens"] <= WINDOW // 8
    assert "summary" not in wanted.arguments
    assert (run_.state.asked, run_.state.made) == (2, 5)


def test_the_next_question_names_the_summary_and_not_its_text() -> None:
    run_ = long_run()
    summed_up(run_)
    assert asked(run_).arguments["summary"] == run_.last(run.Took).results[0].seq
    assert "notes" not in str(run_.events)


def test_a_summary_is_no_turn_and_its_money_counts() -> None:
    run_ = long_run()
    before = run_.state
    summed_up(run_)
    assert run_.state.asked == before.asked + 1
    assert run_.state.cost_micro_usd == before.cost_micro_usd + 70
    assert run_.last(run.Took).results[0].context_tokens == 900


def test_the_prompt_is_estimated_from_the_summary_on() -> None:
    run_ = long_run()
    summed_up(run_, context_tokens=900)
    assert 900 <= run_.state.context_tokens < 1000
    assert asked(run_).arguments["prompt_tokens"] < 2000


def test_summaries_chain() -> None:
    run_ = long_run()
    summed_up(run_)
    step(run_, 2000)
    assert not run.summarises(asked(run_))
    step(run_, LONG)
    wanted = asked(run_)
    assert run.summarises(wanted)
    assert wanted.arguments["summary"] == run_.state.summary > 0


@pytest.mark.parametrize(
    "result",
    [
        lambda call: Failed(call=call, code="provider_error", message="HTTP 500", retryable=True),
        lambda call: Failed(call=call, code="context_overflow", message="too long"),
        lambda call: Refused(call=call, code="money_budget", message="it would cost too much"),
        lambda call: Lost(call=call, message="nobody knows"),
        lambda call: Completed(call=call, output={"type": "model.answer.v1", "text": "hello"}),
        lambda call: Completed(call=call, output="hello"),
    ],
)
def test_a_run_that_cannot_be_summed_up_goes_on_as_it_is_and_tries_again_later(result: Any) -> None:
    run_ = long_run()
    run_.take(result(run_.open[0]))
    assert not run.summarises(asked(run_))
    assert "summary" not in asked(run_).arguments
    assert run_.state.summarising == ""
    assert run_.last(run.Took).results[0].status != "completed"
    for _ in range(outgrown.AFTER_FAILURE - 1):
        step(run_, LONG, output=str(run_.state.turn))
        assert not run.summarises(asked(run_))
    step(run_, LONG, output="another")
    assert run.summarises(asked(run_))


def test_a_summary_that_never_comes_is_given_up_and_the_run_goes_on() -> None:
    run_ = long_run()
    run_.take(run.Wake(), run_.state.open[run_.open[0]].deadline_ms + 1)
    taken = run_.last(run.Took).results[0]
    assert (taken.code, taken.context_tokens > 0) == ("call_timeout", True)
    assert not run.summarises(asked(run_))
    assert run_.state.failures == 0


def test_a_late_summary_changes_nothing_but_the_bill() -> None:
    run_ = long_run()
    call = run_.open[0]
    run_.take(run.Wake(), run_.state.open[call].deadline_ms + GRACE_MS)
    before = run_.state.context_tokens
    late = model.Summary(text="notes", through=5, context_tokens=5)
    run_.take(Completed(call=call, output=msgspec.to_builtins(late), usage=Usage(cost_micro_usd=7)))
    assert run_.last(run.Took).results[0].late
    assert (run_.state.summary, run_.state.cost_micro_usd, run_.state.context_tokens) == (0, 7, before)


def test_a_summary_that_is_said_again_changes_nothing() -> None:
    run_ = long_run()
    call = run_.open[0]
    summed_up(run_)
    again = model.Summary(text="others", through=9, context_tokens=1)
    assert run_.take(Completed(call=call, output=msgspec.to_builtins(again))) == SEEN


def test_a_summary_that_does_not_help_is_not_asked_for_at_every_turn() -> None:
    run_ = long_run()
    summed_up(run_, context_tokens=LONG)
    assert not run.summarises(asked(run_))
    step(run_, LONG)
    assert not run.summarises(asked(run_))


def test_a_run_that_is_paused_while_it_is_summed_up_goes_on_from_the_summary() -> None:
    run_ = long_run()
    run_.take(run.Pause(nth=1))
    assert [type(event) for event in summed_up(run_)] == [run.Took]
    run_.take(run.Resume(nth=2), NOW + 1000)
    assert asked(run_).arguments["summary"] == run_.state.summary > 0


def test_a_summary_that_is_refused_for_a_pause_is_asked_for_after_it() -> None:
    run_ = long_run()
    run_.take(run.Pause(nth=1))
    before = run_.state.asked
    run_.take(Refused(call=run_.open[0], code="paused", message="it is paused"))
    run_.take(run.Resume(nth=2), NOW + 1000)
    assert run.summarises(asked(run_))
    assert run_.state.asked == before


def test_a_cancelled_run_asks_for_no_more() -> None:
    run_ = long_run()
    run_.take(Refused(call=run_.open[0], code="cancelled", message="cancelled"))
    assert run_.ended.status == "cancelled"


def test_what_a_person_says_meanwhile_reaches_the_question_after_it() -> None:
    run_ = long_run()
    run_.take(run.Steer(text="in French"), cause="s1")
    summed_up(run_)
    assert not run.summarises(asked(run_))
    run_.answer(model.Answer(finished=True, output="bonjour"))
    assert run_.ended.output == "bonjour"


def test_a_model_with_a_small_window_or_a_run_that_just_began_is_not_summed_up() -> None:
    assert not run.summarises(asked(long_run(window=outgrown.LEAST_WINDOW - 1)))
    young = RunOf(goal(objective="x" * 30_000), known=small())
    step(young, LONG)
    assert not run.summarises(asked(young))


def test_a_run_that_takes_up_a_long_one_is_summed_up_before_its_first_question() -> None:
    retry = goal_.Retry(of=ids.ulid(NOW, bytes(10)), turn=40, seq=900, tokens=LONG, summary=700)
    run_ = RunOf(goal(retry=retry), known=small())
    assert run.summarises(asked(run_))


def test_the_turns_of_a_run_are_bounded_all_the_same() -> None:
    run_ = long_run(limits=Limits(max_turns=2))
    assert (run_.ended.code, run_.ended.turns) == ("iteration_budget", 2)


def test_a_run_is_restored_from_a_snapshot_while_it_is_summed_up() -> None:
    run_ = long_run()
    state = msgspec.json.decode(run_.actor.snapshot(run_.state), type=type(run_.state))
    assert msgspec.structs.replace(state, accepted=run_.state.accepted) == run_.state
    assert state.summarising == run_.open[0]
