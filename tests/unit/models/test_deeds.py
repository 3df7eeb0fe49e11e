"""What was done in a run, as a list that stays short and tells no call that was not made."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard_contracts import call, model, wire
from callboard_services.models import deeds
from callboard_services.models.steps import steps
from tests.unit.models.kit import Story, ask

ROOM = 12_000


def done(*arguments: dict[str, Any], **more: Any) -> Story:
    """A run that made one call after the other."""
    story = Story()
    for one in arguments:
        story.said(model.Answer(asks=(ask(**one),))).returned(more.get("output", "x"))
    return story


def lines(story: Story, did: tuple[model.Did, ...] = (), most: int = ROOM) -> list[str]:
    return list(deeds.lines(deeds.extended(did, steps(story.history), most)))


def test_each_call_is_told_with_its_arguments() -> None:
    assert lines(done({"path": "a"})) == ['- files.read, completed: path="a"']


def test_calls_in_a_row_that_differ_in_one_number_are_one_item() -> None:
    assert lines(done(*({"page": n, "of": "ledger"} for n in range(7, 120)))) == [
        '- files.read, completed, 113 calls: page=7…119, of="ledger"'
    ]
    assert lines(done(*({"path": f"p{n}.txt"} for n in range(1, 4)))) == [
        '- files.read, completed, 3 calls: path="p1…3.txt"'
    ]


def test_a_gap_or_another_argument_begins_a_new_item() -> None:
    found = lines(done({"page": 1}, {"page": 2}, {"page": 4}, {"page": 4, "fast": True}))
    assert found == ["- files.read, completed, 4 calls: page=1…2; page=4; page=4, fast=true"]


@pytest.mark.parametrize("later", [{"a": 2, "b": 2}, {"a": 3, "b": 1}, {"a": 0, "b": 1}, {"a": 1, "c": 1}, {"a": "x"}])
def test_what_does_not_follow_is_never_told_as_a_range(later: dict[str, Any]) -> None:
    assert "…" not in lines(done({"a": 1, "b": 1}, later))[0]


def test_the_same_call_made_again_is_counted_and_told_once() -> None:
    assert lines(done({"path": "a"}, {"path": "a"})) == ['- files.read, completed, 2 calls: path="a"']


def test_what_failed_is_told_apart_from_what_completed() -> None:
    story = done({"path": "a"})
    story.said(model.Answer(asks=(ask(path="b"),)))
    story.returned(lambda made: call.Failed(call=made, code="not_found", message="no such file"))
    story.said(model.Answer(asks=(ask(path="c"),))).returned(lambda made: call.Lost(call=made, message="?"))
    assert lines(story) == [
        '- files.read, completed: path="a"',
        '- files.read, failed: path="b"',
        '- files.read, lost: path="c"',
    ]


def test_a_call_that_was_never_made_is_not_told() -> None:
    story = Story().said(model.Answer(asks=(model.Ask(tool="files.read", invalid="{"),)))
    story.entries = story.entries[:-1]
    assert lines(story) == []


def test_a_call_that_a_person_had_made_again_is_told_too() -> None:
    story = done({"path": "a"})
    story.retried(story.made[0])
    story.returned("y")
    assert lines(story)[0].startswith("- files.read, completed, 2 calls")


def test_a_list_goes_on_where_the_one_before_it_ended() -> None:
    before = deeds.extended((), steps(done({"page": 1}, {"page": 2}).history), ROOM)
    assert lines(done({"page": 3}), before) == ["- files.read, completed, 3 calls: page=1…3"]


def test_long_arguments_are_cut() -> None:
    (line,) = lines(done({"text": "x" * 10_000}))
    assert len(line) < deeds.ARGUMENT_CHARS + 50


def test_a_list_that_is_too_long_loses_its_oldest_items_and_says_so() -> None:
    story = done(*({"path": f"{n}/{n * 7}"} for n in range(300)))
    did = deeds.extended((), steps(story.history), 2000)
    assert len(wire.encode(did)) <= 2000
    (line,) = deeds.lines(did)
    assert "300 calls" in line
    assert "calls: earlier ones; path=" in line
    assert 'path="299/2093"' in line
    assert 'path="0/0"' not in line


@given(st.lists(st.integers(min_value=0, max_value=30), max_size=40))
def test_the_list_tells_exactly_the_calls_that_were_made(pages: list[int]) -> None:
    (one,) = deeds.extended((), steps(done(*({"page": n} for n in pages)).history), 10**6) or (
        model.Did(tool="", count=0),
    )
    told: set[int] = set()
    for item in one.arguments:
        first, _, last = item.removeprefix("page=").partition("…")
        told |= set(range(int(first), int(last or first) + 1))
    assert told == set(pages)
    assert one.count == len(pages)


def test_what_persons_said_is_kept_word_for_word_and_the_latest_wins() -> None:
    story = done({"path": "a"}).steered("in French").asked()
    assert deeds.heard(("be brief",), steps(story.history)) == ("be brief", "in French")
    many = deeds.heard([f"{n} " + "x" * 3000 for n in range(9)], ())
    assert [one[:2] for one in many] == ["7 ", "8 "]
    assert len(deeds.heard(("y" * 100_000,), ())[0]) == deeds.SAID_CHARS
