"""The story of a run: what there is to tell, and nothing else."""

from typing import Any

from rich.console import Console

from callboard.cli.screen import Screen, ending, styled
from callboard.cli.story import Line, Story, brief, money, seconds

RUN = "01K0000000000000000000000A"
CHILD = f"{RUN}-2-1"


def record(run: str, *events: dict[str, Any]) -> dict[str, Any]:
    return {"run": run, "events": list(events)}


def called(*calls: tuple[str, str, Any]) -> dict[str, Any]:
    asked = [{"id": id_, "tool": tool, "arguments": arguments} for id_, tool, arguments in calls]
    return {"type": "run.called.v1", "turn": 1, "calls": asked}


def took(call: str, tool: str, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"type": "run.took.v1", "results": [{"call": call, "tool": tool, "status": status, "seq": 1} | more]}


def accepted(objective: str) -> dict[str, Any]:
    return {"type": "run.accepted.v1", "goal": {"objective": objective}, "model": "m", "skill": "_"}


ASKS = {"type": "model.answer.v1", "text": "I look.", "asks": [{"tool": "calc"}]}
HISTORY = [
    ("called", record(RUN, accepted("How much?"), called((f"{RUN}-1-0", "model", {})))),
    (
        "called",
        record(
            RUN,
            took(f"{RUN}-1-0", "model", output=ASKS, cost_micro_usd=1500, duration_ms=1200, input_tokens=10),
            called((f"{RUN}-2-0", "calc", {"expression": "6*7"}), (CHILD, "agent.run", {"objective": "Look there"})),
        ),
    ),
    ("called", record(CHILD, accepted("Look there"), called((f"{CHILD}-1-0", "model", {})))),
    ("called", record(RUN, took(f"{RUN}-2-0", "calc", output={"text": "42", "value": 42}, duration_ms=3))),
    ("took", record(CHILD, took(f"{CHILD}-1-0", "model", "failed", code="rate_limited", message="later"))),
    ("ended", record(CHILD, {"type": "run.ended.v1", "status": "failed", "code": "model_failed", "reason": "no"})),
    ("called", record(RUN, took(CHILD, "agent.run", "failed", code="model_failed", message="no", unpriced=True))),
    ("noted", record(RUN, {"type": "run.noted.v1", "text": "Not an object.", "code": "contract_unmet"})),
    ("ended", record(RUN, {"type": "run.ended.v1", "status": "completed", "output": 42})),
]


def told(history: list[tuple[str, dict[str, Any]]]) -> tuple[Story, list[Line]]:
    story = Story(RUN)
    return story, [line for kind, data in history for line in story.take(kind, data)]


def test_a_run_is_told_turn_by_turn_with_its_sub_agents_nested() -> None:
    story, lines = told(HISTORY)
    assert [(line.kind, line.depth, line.text) for line in lines] == [
        ("goal", 0, "How much?"),
        ("about", 0, f"run {RUN} · model m"),
        ("said", 0, "I look."),
        ("child", 1, "Look there"),
        ("done", 1, 'calc(expression="6*7") → 42'),
        ("wrong", 1, "the model failed: rate_limited: later"),
        ("ended", 1, "failed: no"),
        ("wrong", 1, 'agent.run(objective="Look there") failed: model_failed: no'),
        ("note", 1, "Not an object."),
    ]
    assert (story.status, story.turns, story.cost_micro_usd, story.unpriced) == ("completed", 2, 1500, True)
    assert story.open == {}


def test_a_summary_is_no_turn_and_is_told_with_what_it_cost() -> None:
    summary = {"type": "model.summary.v1", "text": "12 in all", "through": 5, "answers": 8}
    done = took(f"{RUN}-9-0", "model", output=summary, context_tokens=900, input_tokens=700, duration_ms=3)
    failed = took(f"{RUN}-9-0", "model", "failed", code="rate_limited", message="later", context_tokens=900)
    answer = took(f"{RUN}-10-0", "model", output=ASKS)
    story, lines = told([("took", record(RUN, done)), ("took", record(RUN, failed)), ("took", record(RUN, answer))])
    assert [(line.kind, line.number) for line in lines] == [("note", 0), ("note", 0), ("said", 1)]
    assert lines[0].text.startswith("the first 8 turns were summed up")
    assert "700 → 0 tokens" in lines[0].aside
    assert lines[1].text == "the older steps could not be summed up: failed: rate_limited: later"
    assert story.turns == 1


def test_what_is_under_way_is_known_with_what_is_heard_of_it() -> None:
    story, _ = told(HISTORY[:3])
    assert [call.tool for call in story.open.values()] == ["calc", "agent.run", "model"]
    for text in ("Let ", "me see"):
        assert story.take("chunk", {"call": f"{CHILD}-1-0", "text": text}) == []
    story.take("progress", {"call": f"{RUN}-2-0", "message": "half way"})
    assert story.open[f"{CHILD}-1-0"].heard == "Let me see"
    assert story.open[f"{RUN}-2-0"].heard == "half way"
    assert story.take("chunk", {"call": "unknown", "text": "x"}) == []


def test_refused_calls_and_runs_say_why() -> None:
    why = {"code": "tool_not_allowed", "message": "not in the goal"}
    refused = record(RUN, took(f"{RUN}-2-0", "shell.run", "refused", **why))
    _, lines = told([*HISTORY[:2], ("took", refused)])
    assert lines[-1].text == 'shell.run(expression="6*7") was not allowed: tool_not_allowed: not in the goal'
    _, lines = told([("refused", record(RUN, {"type": "run.refused.v1", "code": "no_model", "message": "none"}))])
    assert lines == [Line("wrong", "refused: none", aside="no_model")]


def test_what_a_person_said_is_told_with_who_said_it() -> None:
    by = {"principal": "ada"}
    said: list[dict[str, Any]] = [
        {"type": "run.paused.v1", "reason": "lunch"} | by,
        {"type": "run.resumed.v1"},
        {"type": "run.steered.v1", "text": "Use metric\nunits."} | by,
        {"type": "run.retried.v1", "call": f"{RUN}-2-0", "tool": "calc"} | by,
    ]
    _, lines = told([("x", record(RUN, event)) for event in said])
    assert [(line.kind, line.text) for line in lines] == [
        ("person", "paused by ada: lunch"),
        ("person", "resumed"),
        ("person", "steered by ada: Use metric units."),
        ("person", f"calc is made again by ada, for {RUN}-2-0"),
    ]


def test_a_run_that_takes_up_another_says_which_and_from_where() -> None:
    first = accepted("Go on.")
    first["goal"]["retry"] = {"of": CHILD, "turn": 4}
    (_, about) = Story(RUN, from_turn=2).take("accepted", record(RUN, first))
    assert f"takes up after turn 2 of {CHILD}" in about.text  # as people count: 4 is the number in its calls' ids
    assert f"takes up {CHILD}" in told([("accepted", record(RUN, first))])[1][1].text
    first["goal"]["retry"] = {"of": CHILD}
    assert f"takes up anew what was {CHILD}" in told([("accepted", record(RUN, first))])[1][1].text


def test_an_event_that_nobody_knows_is_told_by_nobody() -> None:
    assert told([("new", record(RUN, {"type": "run.dreamt.v9"}))])[1] == []


def test_without_a_terminal_each_line_is_plain_text_however_long() -> None:
    story, lines = told(HISTORY)
    console = Console(width=40, force_terminal=False, record=True)
    with Screen(story, console) as screen:
        screen.tell([*lines, Line("done", "word " * 40)])
    shown = console.export_text().splitlines()
    assert shown[0] == "▸ How much?"
    assert shown[2] == " 1 ● I look.  1.2 s · 10 → 0 tokens · $0.0015"
    assert len(shown) == len(lines) + 1
    assert "\x1b" not in "".join(shown)


def test_on_a_terminal_the_sums_are_shown_while_it_runs() -> None:
    story, lines = told(HISTORY[:3])
    console = Console(width=100, force_terminal=True, record=True)
    with Screen(story, console) as screen:
        screen.tell(lines)
        shown = screen.sums()
    assert shown.startswith("1 turn · 4 calls · $0.0015 · ")


def test_markup_in_what_a_model_says_is_text() -> None:
    assert styled(Line("said", "[red]not red[/red]", number=1)).plain == " 1 ● [red]not red[/red]"
    assert "[/]" in ending("failed", "1 turn", "[/]").plain


def test_amounts_times_and_values_are_short() -> None:
    assert [money(n) for n in (0, 1, 1500, 250_000, 1_000_000, 12_345_678)] == [
        "$0.00",
        "$0.000001",
        "$0.0015",
        "$0.25",
        "$1.00",
        "$12.35",
    ]
    assert money(0, unpriced=True) == "$0.00 (some unpriced)"
    assert [seconds(s) for s in (0.04, 59.9, 61, 3700)] == ["0.0 s", "59.9 s", "1 min 1 s", "1 h 1 min"]
    assert brief("a\n  b") == "a b"
    assert len(brief("x" * 1000)) == 96
    assert brief({"a": [1]}) == '{"a":[1]}'
    assert brief(None) == ""


def test_an_answer_that_came_too_late_is_no_turn() -> None:
    lost = took(f"{RUN}-1-0", "model", "lost", code="call_timeout", message="no answer")
    late = took(f"{RUN}-1-0", "model", output=ASKS, late=True, input_tokens=700)
    answer = took(f"{RUN}-2-0", "model", output=ASKS)
    story, lines = told([("took", record(RUN, one)) for one in (lost, late, answer)])
    assert [(line.kind, line.number) for line in lines] == [("wrong", 1), ("note", 0), ("said", 2)]
    assert (lines[1].text, story.turns) == ("the model answered too late", 2)
