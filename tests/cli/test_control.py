"""Control from the command line, with a whole system behind it: what is said, how it ends, what comes next."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_end_to_end import callboard, last_json, up

SCRIPT: dict[str, Any] = {
    "runs": [
        {"match": "[slow]", "steps": [{"delay_s": 60, "output": "late"}]},
        {
            "match": "[fails]",
            "steps": [
                {"asks": [{"tool": "calc", "arguments": {"expression": "6*7"}}, {"tool": "no.tool"}]},
                {"give_up": "it cannot be done"},
            ],
        },
    ],
    "steps": [{"output": "hello"}],
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data, path = tmp_path_factory.mktemp("system"), tmp_path_factory.mktemp("script") / "script.json"
    path.write_text(json.dumps(SCRIPT))
    with up(data, "--model", f"scripted:{path}"):
        yield data


def runs(system: Path, *tokens: str) -> subprocess.CompletedProcess[str]:
    return callboard("runs", *tokens, "--data", str(system))


def started(system: Path, goal: str) -> str:
    return str(last_json(callboard("run", goal, "--detach", "--json", "--data", str(system)))["run"])


def until(system: Path, run: str, *statuses: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(40):
        found = last_json(runs(system, "show", run, "--json"))
        if found["status"] in statuses:
            return found
        time.sleep(0.2)
    raise AssertionError(found)


def test_a_run_is_paused_asked_about_steered_resumed_and_cancelled(system: Path) -> None:
    run = started(system, "a [slow] one")
    until(system, run, "running")
    said = runs(system, "pause", run, "--reason", "lunch")
    assert (said.returncode, said.stdout.splitlines()[0]) == (0, "The run stops at its next step."), said.stderr
    assert f"`callboard runs resume {run}`" in said.stdout
    until(system, run, "paused")
    assert "nothing changed" in runs(system, "pause", run[:20]).stdout
    assert "paused" in runs(system, "ls").stdout
    shown = runs(system, "show", run).stdout
    assert f"`callboard runs resume {run}` lets it go on" in shown
    told = runs(system, "why", run)
    assert told.returncode == 0
    assert "It was paused by local at" in told.stdout
    assert "UTC: lunch." in told.stdout
    chain = last_json(runs(system, "why", run, "--json"))["chain"]
    assert [link["waiting_for"] for link in chain] == ["resume", "model"]
    said = runs(system, "steer", run, "Use metric units.", "--json")
    assert last_json(said) | {"run": ""} == {"run": "", "was": "paused", "changed": True, "paused_above": ""}
    assert runs(system, "resume", run).stdout.startswith("The run goes on.")
    assert runs(system, "cancel", run, "--reason", "enough").stdout.startswith("The run is told to end.")
    assert until(system, run, "cancelled")["reason"] == "enough"
    assert "has ended (cancelled) already" in runs(system, "cancel", run).stdout
    said = runs(system, "pause", run)
    assert said.returncode == 2
    assert "The run has ended" in said.stderr
    story = runs(system, "show", run).stderr
    for line in ("paused by local: lunch", "steered by local: Use metric units."):
        assert line in story


def test_a_run_that_failed_says_what_it_did_and_is_taken_up_again(system: Path) -> None:
    run = started(system, "it [fails]")
    until(system, run, "unachievable")
    shown = runs(system, "show", run).stderr
    assert f"Done:\n  calc  {run}-2-0\n" in shown
    assert f"Not started:\n  no.tool  {run}-2-1  unknown_tool" in shown
    outcome = last_json(runs(system, "show", run, "--json"))["outcome"]
    assert [call["tool"] for call in outcome["done"]] == ["calc"]
    assert "It ended unachievable at" in runs(system, "why", run).stdout
    said = runs(system, "retry", run, "--json")
    taken = last_json(said)
    assert (said.returncode, taken["retry_of"], taken["from_turn"]) == (0, run, 1)
    found = until(system, taken["run"], "unachievable")
    assert (found["retry_of"], found["from_turn"]) == (run, 1)
    assert f"takes up after turn 1 of {run}" in runs(system, "show", taken["run"]).stderr
    for tokens, problem in (
        (("retry", run, "--from-turn", "2"), "it can be taken up after: 1"),
        (("retry", run, "--from-turn", "9"), "has no turn 9: it has 2 turns"),
        (("retry", run, "--call", f"{run}-2-1"), "The run has ended"),
        (("retry", run, "--call", "x", "--from-turn", "1"), "--from-turn"),
        (("retry", run, "--from-turn", "-1"), "--from-turn -1"),
        (("steer", run, "too late"), "The run has ended"),
        (("why", "01K0000000000000000000000A"), "no run"),
    ):
        said = runs(system, *tokens)
        assert (said.returncode, problem in said.stderr) == (2, True), (tokens, said.stderr)


def test_a_goal_that_nobody_may_keep_waiting_has_a_start_timeout(system: Path) -> None:
    said = callboard("run", "hi", "--start-timeout", "5m", "--json", "--data", str(system))
    assert (said.returncode, last_json(said)["output"]) == (0, "hello")
    wrong = callboard("run", "hi", "--start-timeout", "soon", "--data", str(system))
    assert (wrong.returncode, "--start-timeout 'soon'" in wrong.stderr) == (2, True)


def test_control_needs_a_system_that_runs(tmp_path: Path) -> None:
    for tokens in (("pause", "x"), ("resume", "x"), ("steer", "x", "y"), ("cancel", "x"), ("retry", "x")):
        said = callboard("runs", *tokens, "--data", str(tmp_path))
        assert (said.returncode, "no system runs" in said.stderr) == (2, True), said.stderr


def test_what_the_model_read_in_a_turn_is_shown_part_by_part(system: Path) -> None:
    run = str(last_json(callboard("run", "it [fails]", "--json", "--data", str(system)))["run"])
    shown = runs(system, "show", run, "--turn", "2", "--context")
    assert shown.returncode == 0, shown.stderr
    first, room, exact, head, *parts = shown.stdout.splitlines()
    assert first.startswith(f"turn 2 of {run}")
    assert "of 123,904 tokens by estimate" in room
    assert exact.startswith("exactly what was sent")
    assert head.split() == ["PART", "TOKENS", "WINDOW", "STATE", "WHAT", "FROM"]
    assert [part.split()[0] for part in parts] == ["rules", "contract", "goal", "step", "tools"]
    assert 'calc expression="6*7", no.tool' in shown.stdout
    with_messages = runs(system, "show", run, "--context", "--messages").stdout
    assert "── result of calc ─" in with_messages
    assert '→ calc {"expression":"6*7"}' in with_messages
    found = last_json(runs(system, "show", run, "--context", "--json"))
    assert (found["turn"], found["exact"], found["call"]) == (2, True, f"{run}-3-0")


def test_a_turn_that_never_was_is_refused_with_what_to_do(system: Path) -> None:
    run = str(last_json(callboard("run", "hello", "--json", "--data", str(system)))["run"])
    for turn in ("3", "-1"):
        said = runs(system, "show", run, "--turn", turn, "--context")
        assert (said.returncode, said.stdout) == (2, "")
        assert "The run has no such turn" in said.stderr
        assert "numbers its turns" in said.stderr
