"""The prompt of a model call: the goal word for word, every ask with its result, never over the window."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard_contracts import call, model, names, run
from callboard_contracts.skill import File, Skill
from callboard_services.models import history, loose, prompt, tokens
from callboard_services.models.errors import ProviderError
from callboard_services.models.history import Entry
from callboard_services.models.provider import Asked, Message
from callboard_services.models.steps import Said, steps
from tests.unit.models import kit
from tests.unit.models.kit import Story, ask

WIDE = 1_000_000
TEXTS = st.text(st.characters(codec="utf-8"), max_size=400)


def build(story: Story, window: int = WIDE, **more: Any) -> tuple[Message, ...]:
    return prompt.build(story.first, more.pop("skill", None), story.history, (kit.spec(),), window, **more)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    story = Story(kit.accepted(draw(TEXTS), input=draw(st.none() | TEXTS)))
    for _ in range(draw(st.integers(0, 6))):
        match draw(st.sampled_from(["asks", "asks", "finished", "note", "failure"])):
            case "asks":
                arguments = draw(st.lists(TEXTS, min_size=1, max_size=3))
                story.said(model.Answer(text=draw(TEXTS), asks=tuple(ask(path=one) for one in arguments)))
                story.returned(*(draw(TEXTS) * draw(st.integers(1, 30)) for _ in arguments))
            case "finished":
                story.said(model.Answer(finished=True, output=draw(TEXTS))).noted("not accepted")
            case "note":
                story.noted(draw(TEXTS))
            case _:
                story.failed()
    return story


@given(stories(), st.integers(0, 4_000))
def test_a_prompt_never_exceeds_the_window_and_always_states_the_goal(story: Story, window: int) -> None:
    try:
        messages = build(story, window)
    except ProviderError as error:
        code = error.code
        assert (code, error.free) == ("context_overflow", True)  # noqa: PT017 - either outcome is a promise
        return
    assert tokens.of_messages(messages) + tokens.of_offer((kit.spec(),), story.first.contract) <= window
    assert messages[:2] == build(story)[:2]
    assert story.first.goal.objective in messages[1].content


@given(stories(), st.integers(600, 6_000))
def test_every_ask_has_its_result_right_behind_it(story: Story, window: int) -> None:
    try:
        messages = build(story, window)
    except ProviderError:
        return
    kit.assert_every_ask_has_its_result_right_behind_it(messages)


@given(stories())
def test_with_room_enough_nothing_is_left_out(story: Story) -> None:
    said = [message for message in build(story) if message.role == "assistant"]
    assert len(said) == sum(isinstance(step, Said) for step in steps(story.history))
    assert not any("left out" in message.content for message in build(story)[2:] if message.role == "user")


def test_results_meet_their_asks_whatever_order_they_came_in() -> None:
    story = Story().said(model.Answer(asks=(ask(path="a"), ask(path="b")))).returned("of a", "of b")
    first, second, third = build(story)[2:]
    assert first.asks == (
        Asked(id=f"{kit.RUN}-2-0", tool="files.read", arguments={"path": "a"}),
        Asked(id=f"{kit.RUN}-2-1", tool="files.read", arguments={"path": "b"}),
    )
    assert [second.content, third.content] == ['"of a"', '"of b"']
    assert second.name == "files.read"


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (lambda made: call.Failed(call=made, code="tool_failed", message="no such file"), "tool_failed"),
        (lambda made: call.Refused(call=made, code="tool_not_allowed", message="no such file"), "tool_not_allowed"),
        (lambda made: call.Lost(call=made, message="no such file"), "outcome_unknown"),
        (lambda made: call.Completed(call=made, output_ref="sha256:no such file"), "output_too_large"),
    ],
)
def test_what_did_not_work_is_told_as_an_error_with_its_code(result: Any, code: str) -> None:
    told = build(Story().said(model.Answer(asks=(ask(path="a"),))).returned(result))[-1]
    error = loose.strict_json(told.content)["error"]
    assert told.failed
    assert error["code"] == code
    assert "no such file" in error["message"]


def test_a_result_whose_message_is_a_timer_is_told_by_what_was_taken() -> None:
    story = Story().said(model.Answer(asks=(ask(path="a"),)))
    lost = run.Taken(
        call=f"{kit.RUN}-2-0", tool="files.read", status="lost", seq=9, code="call_timeout", message="late"
    )
    late = run.Taken(call=lost.call, tool="", status="completed", seq=10, late=True)
    story.entries += [Entry(events=(run.Took(results=(lost,)),)), Entry(events=(run.Took(results=(late,)),))]
    assert loose.strict_json(build(story)[-1].content) == {"error": {"code": "call_timeout", "message": "late"}}


def test_asks_that_were_not_called_are_answered_too() -> None:
    story = Story().asked()
    answer = model.Answer(asks=(ask(path="a"), model.Ask(tool="finish", invalid="{half")))
    taken = run.Taken(call=f"{kit.RUN}-1-0", tool=names.MODEL, status="completed", seq=7)
    done = call.Completed(call=taken.call, output=answer)
    story.entries.append(Entry(events=(run.Took(results=(taken,)),), results={7: done}))
    assert [message.failed for message in build(story)[-2:]] == [True, True]
    assert "not JSON" in build(story)[-1].content


def test_an_output_that_was_not_accepted_is_told_again_with_the_note() -> None:
    story = Story().said(model.Answer(text="Done.", finished=True, output={"town": "x"})).noted("city is missing")
    assert [(one.role, one.content) for one in build(story)[2:]] == [
        ("assistant", '{"town":"x"}'),
        ("user", "city is missing"),
    ]


def test_model_calls_that_failed_are_counted_and_not_told() -> None:
    story = Story().failed().said(model.Answer(asks=(ask(path="a"),))).returned(1)
    assert history.answered(story.history) == 2
    assert len(build(story)) == 4


def test_a_missing_answer_is_never_passed_over() -> None:
    story = Story().said(model.Answer(give_up="no"))
    story.entries[-1] = Entry(events=story.entries[-1].events)
    with pytest.raises(LookupError, match="missing"):
        build(story)


def test_a_large_result_is_cut_and_says_how_much_is_missing() -> None:
    story = Story().said(model.Answer(asks=(ask(path="a"),))).returned("x" * 50_000)
    content = build(story, result_chars=1000)[-1].content
    assert len(content) < 1200
    assert "49002 of 50002 characters" in content


def test_the_oldest_results_give_way_first() -> None:
    story = Story()
    for _ in range(3):
        story.said(model.Answer(asks=(ask(path="a"),))).returned("x" * 3_000)
    told = [message.content for message in build(story, 1_900) if message.role == "tool"]
    assert [content.startswith("[result elided: ") for content in told] == [True, False, False]


def test_after_the_results_the_oldest_steps_give_way() -> None:
    story = Story()
    for at in range(30):
        story.said(model.Answer(asks=(ask(path=f"{at}" + "x" * 300),))).returned("y")
    messages = build(story, 1_500)
    assert "earlier steps are left out" in messages[2].content
    assert messages[-2].asks[0].arguments["path"].startswith("29")


def test_a_goal_that_does_not_fit_is_an_overflow_that_cost_nothing() -> None:
    with pytest.raises(ProviderError) as caught:
        build(Story(kit.accepted("x" * 9_000)), 2_000)
    assert (caught.value.code, caught.value.retryable, caught.value.free) == ("context_overflow", False, True)


def test_the_first_messages_hold_rules_contract_skill_objective_and_input() -> None:
    skill = Skill(
        name="city", description="", prompt="Look in a.txt.", files=(File(path="a.txt", digest="d", bytes=3),)
    )
    story = Story(kit.accepted("", input={"country": "Italy"}, skill="city", skill_digest="d"))
    system, goal = build(story, skill=skill)
    for part in ("give_up", "Never invent", '"required":["city"]', "Look in a.txt.", "- a.txt (3 bytes)"):
        assert part in system.content
    assert "skill city" in goal.content
    assert '{"country":"Italy"}' in goal.content


def test_a_grounded_goal_says_that_values_are_looked_up() -> None:
    assert prompt.GROUNDED in build(Story(kit.accepted(grounded=True)))[0].content
    assert prompt.GROUNDED not in build(Story())[0].content
