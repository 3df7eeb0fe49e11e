"""On the command line: a run is exported, verified where no system runs, told step by step, and logged."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_end_to_end import ANY, CALLBOARD, CLEAN, callboard, last_json, up

pytestmark = pytest.mark.slow
SCRIPT: dict[str, Any] = {
    "runs": [
        {"match": "[count]", "steps": [{"output": 2}]},
        {
            "match": "[delegate]",
            "steps": [
                {"asks": [{"tool": "agent.run", "arguments": {"objective": "How many? [count]"}}]},
                {"output": {"$result": 0}},
            ],
        },
        {
            "match": "[write]",
            "steps": [
                {"asks": [{"tool": "files.write", "arguments": {"path": "a.txt", "text": "7"}}]},
                {"output": "written"},
            ],
        },
    ],
    "steps": [
        {"text": "I calculate.", "asks": [{"tool": "calc", "arguments": {"expression": "1/0"}}]},
        {"text": "Again.", "asks": [{"tool": "calc", "arguments": {"expression": "1/0"}}]},
        {"text": "Done.", "output": {"answer": 42}},
    ],
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A system with two runs: one that calculated in vain, and one with a sub-agent."""
    folder = tmp_path_factory.mktemp("audit")
    script = folder / "script.json"
    script.write_text(json.dumps(SCRIPT))
    with up(folder / "data", "--model", f"scripted:{script}"):
        yield folder / "data"


@pytest.fixture(scope="module")
def runs(system: Path) -> list[str]:
    goals = ("How much?", "How many? [delegate]")
    return [
        last_json(callboard("run", goal, "--contract", ANY, "--json", "--data", str(system)))["run"] for goal in goals
    ]


def exported(system: Path, run: str, file: Path) -> Path:
    said = callboard("audit", "export", run, "-o", str(file), "--data", str(system))
    assert (said.returncode, said.stderr) == (0, "")
    assert f"callboard audit verify {file}" in said.stdout
    return file


def test_a_bundle_is_verified_where_no_system_is(system: Path, runs: list[str], tmp_path: Path) -> None:
    key = callboard("audit", "key", "--data", str(system)).stdout.strip()
    for run in runs:
        file = exported(system, run, tmp_path / f"{run}.jsonl")
        said = callboard("audit", "verify", str(file), "--key", key, NATS_URL="nats://127.0.0.1:9", HOME=str(tmp_path))
        assert (said.returncode, said.stderr) == (0, ""), said.stdout
        assert "✓ verified" in said.stdout
        assert key in said.stdout
        assert "for local" in said.stdout
    told = last_json(callboard("audit", "verify", str(tmp_path / f"{runs[1]}.jsonl"), "--json"))
    assert (told["ok"], told["problems"], told["known_key"], told["closed"]) == (True, [], None, True)
    assert {act["run"] for act in told["summary"]["acts"]} == {runs[1], f"{runs[1]}-2-0"}


def test_a_bundle_that_was_touched_is_refused_with_the_message_that_was(
    system: Path, runs: list[str], tmp_path: Path
) -> None:
    file = exported(system, runs[0], tmp_path / "audit.jsonl")
    data = file.read_bytes()
    place = data.index(b"division by zero")
    file.write_bytes(data[:place] + b"D" + data[place + 1 :])
    said = callboard("audit", "verify", str(file))
    assert said.returncode == 1
    seq = json.loads(data[: data.index(b"\n", place)].splitlines()[-1])["seq"]
    assert f"message {seq} is the first that is wrong" in said.stdout
    file.write_bytes(data[: data.rindex(b'{"chain"')])
    cut = last_json(callboard("audit", "verify", str(file), "--json"))
    assert (cut["ok"], [problem["code"] for problem in cut["problems"]]) == (False, ["cut"])


def test_what_cannot_be_verified_or_exported_is_told_in_a_sentence(system: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    for tokens, code, words in (
        (("verify", str(other)), 2, "The file is not an audit bundle"),
        (("verify", str(tmp_path / "none")), 2, "cannot be read"),
        (("verify", str(other), "--key", "abc"), 2, "64 hex digits"),
        (("export", "01ZZZZZZZZZZZZZZZZZZZZZZZZ", "--data", str(system)), 2, "There is no run of that id"),
        (("log", "--since", "soon", "--data", str(system)), 2, "since 'soon' is no time"),
        (("log", "--csv", "--json", "--data", str(system)), 2, "one of them"),
    ):
        said = callboard("audit", *tokens)
        assert (said.returncode, words in said.stderr) == (code, True), said.stderr


def test_the_log_tells_who_did_what_for_whom(system: Path, runs: list[str]) -> None:
    said = callboard("audit", "log", "--since", "1h", "--tool", "calc", "--data", str(system))
    assert said.returncode == 0
    assert len(said.stdout.splitlines()) == 2
    assert 'agent for local  calc({"expression":"1/0"})  pure · tool_failed · division by zero' in said.stdout
    rows = callboard("audit", "log", "--run", runs[1], "--csv", "--data", str(system)).stdout.splitlines()
    assert rows[0].startswith("time_ms,seq,kind,tenant,principal,by,run")
    assert len(rows) > 6
    none = callboard("audit", "log", "--user", "nobody", "--data", str(system))
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "Nothing was done that fits.\n")


def test_a_step_is_told_with_its_context_and_whether_it_may_be_retried(system: Path, runs: list[str]) -> None:
    said = callboard("runs", "show", runs[0], "--step", "2", "--data", str(system))
    assert said.returncode == 0, said.stderr
    for words in (
        "step 2 of 3",
        "exactly what was sent",
        "offered  agent.run, calc",
        "said     Again.",
        'calc(expression="1/0")',
        "failed: tool_failed: division by zero",
        "safe. Its effect class is pure",
        "of 200 calls",
    ):
        assert words in said.stdout
    told = last_json(callboard("runs", "show", runs[0], "--step", "2", "--json", "--data", str(system)))
    messages = [message for part in told["prompt"]["parts"] for message in part.get("messages", ())]
    assert any("How much?" in message.get("content", "") for message in messages)
    assert told["asked"]["output"]["text"] == "Again."
    none = callboard("runs", "show", runs[0], "--step", "9", "--data", str(system))
    assert (none.returncode, "it has 3" in none.stderr) == (2, True)


def test_waste_is_named_below_the_story(system: Path, runs: list[str]) -> None:
    said = callboard("runs", "show", runs[0], "--data", str(system))
    assert "wasted calc was tried 2×, with the same error (tool_failed: division by zero)." in said.stderr


def test_who_approved_what_and_when_is_on_the_record_and_proved(system: Path, tmp_path: Path) -> None:
    rules = tmp_path / "writes.toml"
    rules.write_text('[[rule]]\nname = "all"\ntool = ["files.write"]\nreason = "files are for ever"\n')
    assert callboard("policy", "apply", str(rules), "--data", str(system)).returncode == 0
    command = [CALLBOARD, "run", "Write it. [write]", "--json", "--data", str(system)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=CLEAN) as running:
        request = waiting(system)
        said = callboard("approvals", "approve", request, "--reason", "once", "--data", str(system))
        assert said.returncode == 0, said.stderr
        assert running.wait(60) == 0
    run = request.rsplit("-", 2)[0]
    rows = callboard("audit", "log", "--run", run, "--json", "--data", str(system)).stdout.splitlines()
    acts = [json.loads(row) for row in rows]
    held = next(act for act in acts if act["tool"] == "files.write")
    told = [held[key] for key in ("decision", "rule", "approvers", "effect", "outcome")]
    assert told == ["granted", "policy:writes/all", "local", "write", "completed"]
    vote = next(act for act in acts if act["kind"] == "vote")
    assert (vote["by"], vote["decision"], vote["call"], vote["reason"]) == ("local", "approve", request, "once")
    assert held["time_ms"] <= vote["time_ms"]
    report = last_json(callboard("audit", "verify", str(exported(system, run, tmp_path / "a.jsonl")), "--json"))
    assert (report["ok"], report["counts"]["approvals"]) == (True, 1)
    step = callboard("runs", "show", run, "--step", "1", "--data", str(system)).stdout
    assert "rule policy:writes/all: approved by local" in step
    assert "not safe. It took place, and its effect class is write" in step


def waiting(system: Path) -> str:
    """Return the request that waits for a person, once there is one."""
    for _ in range(100):
        found = callboard("approvals", "ls", "--json", "--data", str(system)).stdout.splitlines()
        if found:
            return str(json.loads(found[0])["request"])
        time.sleep(0.2)
    raise AssertionError("nobody was asked")


def test_a_log_that_nobody_reads_to_its_end_is_no_error(system: Path, runs: list[str]) -> None:
    assert runs
    command = f"{CALLBOARD} audit log --json --data {system} | head -1"
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False, env=CLEAN)
    assert (said.returncode, said.stderr) == (0, "")
