"""A prompt taken apart: every part tells its size and its source, and a digest tells two prompts apart."""

from typing import Any

import msgspec
import pytest

from callboard_contracts import call, goal, model, run
from callboard_contracts.window import Part
from callboard_services.models import digest, extract, history, job, parts, prompt
from callboard_services.models.history import Entry, Standing
from callboard_services.models.job import Job, Request
from callboard_services.models.local import engine
from callboard_services.models.local import provider as local
from callboard_services.models.provider import Message, Prompt
from tests.unit.models import kit
from tests.unit.models.kit import Story, ask

SUMMARY = model.Summary(
    text="The total is 12.",
    through=40,
    answers=4,
    did=(model.Did(tool="files.read", count=4, arguments=('path="p1…4"',)),),
    said=("in French",),
)


def told(rounds: int, size: int = 1000, first: run.Accepted | None = None) -> Story:
    story = Story(first)
    for at in range(rounds):
        story.said(model.Answer(asks=(ask(page=at),))).returned(f"{at}:" + "x" * size)
    return story


def taken_apart(story: Story, standing: Standing | None = None, window: int = 100_000) -> tuple[Part, ...]:
    entries = [msgspec.structs.replace(one, seq=10 * at) for at, one in enumerate(story.history)]
    entries[0] = msgspec.structs.replace(entries[0], standing=standing)
    plan = prompt.plan(story.first, None, tuple(entries), (kit.spec(),), window)
    sent = Prompt(model="fake", messages=plan.messages, contract=story.first.contract)
    asked = Job(
        call=call.Call(id="x", tool="model"), history=tuple(entries), outputs=story.outputs, offered=(kit.spec(),)
    )
    request: Any = msgspec.structs.replace(_request(sent), plan=plan)
    return parts.of(asked, request)


def _request(sent: Prompt) -> Request:
    return Request(prompt=sent, provider=None, model=None, reserved=None)  # type: ignore[arg-type]


def test_the_contents_of_the_parts_are_what_is_sent_in_order() -> None:
    found = taken_apart(told(3), Standing(77, SUMMARY))
    assert [part.kind for part in found] == [
        "rules", "contract", "goal", "gap", "did", "summary", "said", "step", "step", "step", "tools",
    ]  # fmt: skip
    said = [message.content for part in found for message in part.messages if message.role != "system"]
    entries = (Entry(events=(kit.accepted(),), standing=Standing(77, SUMMARY)), *told(3).history[1:])
    built = prompt.build(history.accepted(entries), None, entries, (kit.spec(),), 100_000)
    assert said == [message.content for message in built[1:]]


def test_what_stands_for_older_steps_names_its_source() -> None:
    found = {part.kind: part for part in taken_apart(told(1), Standing(77, SUMMARY))}
    assert (found["gap"].state, found["gap"].steps, found["gap"].tokens) == ("summarised", 4, 0)
    assert [found[kind].sources for kind in ("did", "summary", "said")] == [(77,)] * 3


def test_steps_that_do_not_fit_are_one_part_that_counts_them_and_what_they_would_have_taken() -> None:
    found = taken_apart(told(200), window=6000)
    (dropped,) = [part for part in found if part.state == "dropped"]
    kept = [part for part in found if part.kind == "step" and part.state != "dropped"]
    assert dropped.steps + len(kept) == 200
    assert dropped.tokens > 200 * dropped.steps
    assert dropped.messages == ()
    assert {part.state for part in kept} == {"elided"} | ({"kept"} if kept[-1].state == "kept" else set())
    assert any(part.kind == "gap" and part.messages for part in found)


def test_a_result_that_is_shown_in_part_is_told_as_cut() -> None:
    (step,) = [part for part in taken_apart(told(1, size=40_000)) if part.kind == "step"]
    assert step.state == "cut"


def test_a_step_names_its_record_and_its_results() -> None:
    story = told(2)
    taken = [
        one.seq
        for entry in story.history
        for event in entry.events
        if isinstance(event, run.Took)
        for one in event.results
    ]
    steps = [part for part in taken_apart(story) if part.kind == "step"]
    assert [part.sources[1:] for part in steps] == [tuple(taken[:2]), tuple(taken[2:])]


def test_contents_are_cut_at_what_one_message_holds_and_the_parts_stay() -> None:
    found = taken_apart(told(20))
    shown = parts.within(found, 9000)
    assert parts.without_contents(shown) == parts.without_contents(found)
    assert 0 < sum(len(message.content) for part in shown for message in part.messages) < 9000


def test_what_a_user_prefers_is_a_part_of_its_own_behind_the_goal() -> None:
    wanted = goal.Submit(id=kit.RUN, objective="Find the city", preferences=("Answer in French.", "Use metres."))
    first = msgspec.structs.replace(kit.accepted(), goal=wanted)
    messages = prompt.build(first, None, (Entry(events=(first,)),), (), 10_000)
    assert [one.role for one in messages] == ["system", "user", "user"]
    assert messages[2].content.splitlines()[1:] == ["- Answer in French.", "- Use metres."]
    kinds = [part.kind for part in taken_apart(told(1, first=first), Standing(1, SUMMARY))]
    assert kinds[2:6] == ["goal", "preferences", "gap", "did"]


PROMPT = kit.prompt(tools=(kit.spec(),))


@pytest.mark.parametrize(
    "other",
    [
        {"model": "other"},
        {"messages": (*PROMPT.messages, Message(role="user", content=""))},
        {"messages": (PROMPT.messages[0], msgspec.structs.replace(PROMPT.messages[1], content="Find the city."))},
        {"tools": ()},
        {"tools": (msgspec.structs.replace(kit.spec(), description="Read a file!"),)},
        {"tools": (msgspec.structs.replace(kit.spec(), input_schema={}),)},
        {"contract": {}},
        {"max_output_tokens": 1},
    ],
)
def test_whatever_differs_in_what_is_sent_makes_another_digest(other: dict[str, Any]) -> None:
    same = kit.prompt(tools=(kit.spec(),), timeout_s=1.0)
    assert digest.of(same) == digest.of(PROMPT)
    assert digest.of(msgspec.structs.replace(PROMPT, **other)) != digest.of(PROMPT)


def test_a_question_to_sum_up_is_told_as_it_was_asked() -> None:
    request = model.Request(model="", summarise=True, max_output_tokens=500)
    made = call.Call(id="x", tool="model", arguments=msgspec.to_builtins(request))
    story = told(9, size=4000).asked()
    entries = tuple(msgspec.structs.replace(one, seq=at + 1) for at, one in enumerate(story.history))
    asked = Job(call=made, history=entries, outputs=story.outputs, offered=(kit.spec(),))
    prepared = job.prepare(asked, kit.catalogue("http://127.0.0.1:1"))
    assert (prepared.prompt.plain, prepared.prompt.tools, prepared.prompt.max_output_tokens) == (True, (), 500)
    assert [part.messages[0].content for part in parts.of(asked, prepared)] == [
        message.content for message in prepared.prompt.messages
    ]


NOTES = kit.prompt(
    plain=True,
    messages=(
        Message(role="system", content="rules"),
        Message(
            role="user", content="# Steps\n" + "\n".join(f"Result of files.read: {n} " + "x" * 400 for n in range(40))
        ),
    ),
)


def test_where_no_model_can_write_notes_they_are_the_beginnings_of_the_newest_results() -> None:
    found = extract.notes(NOTES)
    assert len(found) <= extract.MOST_CHARS
    assert found.splitlines()[-1].startswith("Result of files.read: 39 ")
    assert "read: 0 " not in found
    assert local._notes(NOTES, None) == found


def test_a_local_model_writes_the_notes_and_what_is_cut_off_is_made_up_for() -> None:
    def refuses(*_: object) -> Any:
        raise engine.RefusedError("cut off")

    assert local._notes(NOTES, lambda *_: {"notes": "12 in all"}) == "12 in all"  # type: ignore[arg-type]
    assert local._notes(NOTES, refuses) == extract.notes(NOTES)  # type: ignore[arg-type]
