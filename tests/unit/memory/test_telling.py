"""What a run did is told so that it can be found: what was wanted, what became of it, by what means."""

from typing import Any

import pytest

from callboard_contracts import run
from callboard_contracts.goal import Submit
from callboard_services.memory.telling import Story, text, title

ROOT = "01JZ0000000000000000000000"


def accepted(**goal: Any) -> run.Accepted:
    """Return the beginning of a run."""
    submit = Submit(id=ROOT, **({"objective": "Refund order 7 of customer Acme"} | goal))
    return run.Accepted(goal=submit, goal_digest="", contract={}, model="m", deadline_ms=1, skill="refunds")


def took(*results: tuple[str, str]) -> run.Took:
    """Return that results arrived: a tool and a status for each."""
    return run.Took(
        results=tuple(
            run.Taken(call=f"{ROOT}-1-{at}", tool=tool, status=status, seq=at)  # type: ignore[arg-type]
            for at, (tool, status) in enumerate(results)
        )
    )


def story(*events: Any) -> Story:
    """Return a story of one run."""
    found = Story(root=ROOT)
    found.take(ROOT, events)
    return found


def test_an_episode_tells_the_goal_the_outcome_the_output_and_the_tools() -> None:
    found = story(
        accepted(input={"order": 7}, labels={"customer": "acme"}),
        took(("model", "completed"), ("files.read", "completed"), ("files.read", "completed"), ("mail.send", "failed")),
        run.Ended(status="completed", output={"refunded": 50}),
    )
    assert text(found, {"refunded": 50}).split("\n") == [
        "Goal: Refund order 7 of customer Acme",
        'Input: {"order":7}',
        "Labels: customer acme",
        "Outcome: completed",
        'Output: {"refunded":50}',
        "Tools: files.read ×2",
    ]


@pytest.mark.parametrize("status", ["failed", "cancelled", "unachievable"])
def test_what_did_not_succeed_is_told_with_its_reason_and_without_an_output(status: Any) -> None:
    found = story(accepted(), run.Ended(status=status, code="gave_up", reason="The order is\nunknown", output="x"))
    lines = text(found, "x").split("\n")
    assert f"Outcome: {status} (gave_up: The order is unknown)" in lines
    assert not any(line.startswith("Output") for line in lines)


def test_what_sub_agents_did_is_told_with_their_root() -> None:
    found = story(accepted(), run.Ended(status="completed", output="done"))
    found.take(f"{ROOT}-1-0", [accepted(objective="Something else"), took(("web.fetch", "completed"))])
    told = text(found, "done")
    assert "Tools: web.fetch" in told
    assert "Something else" not in told


def test_an_episode_is_short_however_long_its_run_was() -> None:
    words = "very long " * 5_000
    found = story(accepted(objective=words, input=words), run.Ended(status="completed", output=words))
    found.take(ROOT, [took(*((f"tool_{at}.run", "completed") for at in range(200)))])
    assert len(text(found, words)) < 2_500


def test_a_run_is_called_by_the_first_line_of_its_objective_or_by_its_skill() -> None:
    assert title(accepted(objective="\nSort the mail.\nAll of it.")) == "Sort the mail."
    assert title(accepted(objective="")) == "the skill refunds"


def test_a_run_that_has_not_ended_is_no_episode() -> None:
    with pytest.raises(ValueError, match="not ended"):
        text(story(accepted()), "")
