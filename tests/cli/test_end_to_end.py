"""The command line with a whole system behind it: real processes, a real broker, a scripted model."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("CALLBOARD_", "NATS_"))}
CALLBOARD = str(Path(sys.executable).parent / "callboard")
SCRIPT: dict[str, Any] = {
    "runs": [
        {"match": "[impossible]", "steps": [{"give_up": "there is no such thing"}]},
        {"match": "[slow]", "steps": [{"delay_s": 60, "output": "late"}]},
        {
            "match": "[note]",
            "steps": [
                {"asks": [{"tool": "files.read", "arguments": {"path": "note.txt"}}]},
                {"output": {"$result": 0, "at": "/text"}},
            ],
        },
        {"match": "[count]", "steps": [{"output": 2}]},
    ],
    "steps": [
        {"text": "I calculate.", "asks": [{"tool": "calc", "arguments": {"expression": "6*7"}}]},
        {"text": "Done.", "output": {"answer": 42}},
    ],
}
ANY = '{"type": ["object", "string", "integer"]}'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("script") / "script.json"
    path.write_text(json.dumps(SCRIPT))
    return f"scripted:{path}"


def callboard(*tokens: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CALLBOARD, *tokens], capture_output=True, text=True, timeout=120, check=False, env=CLEAN | environment
    )


def last_json(said: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return found


@contextmanager
def up(data: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run `callboard up` and yield it with its one line; it must end with exit code 0 on SIGTERM."""
    command = [CALLBOARD, "up", "--data", str(data), "--http", "127.0.0.1:0", "--port", "0", "--json", *more]
    environment = CLEAN | {"CALLBOARD_LOG": "error"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
            assert stopped(process) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()


def stopped(process: subprocess.Popen[str]) -> int:
    """Ask a system to stop, and again: a second signal waits for nothing that runs."""
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    return process.wait(9)


@pytest.fixture(scope="module")
def system(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data = tmp_path_factory.mktemp("system")
    with up(data, "--model", model):
        yield data


# ── With a running system ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_shows_its_turns_and_ends_with_its_output(system: Path) -> None:
    said = callboard("run", "How much?", "--contract", ANY, "--data", str(system))
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == {"answer": 42}
    assert "▸ How much?" in said.stderr
    assert 'calc(expression="6*7") → 42' in said.stderr
    assert "✓ completed  2 turns · 3 calls · $0.00" in said.stderr
    assert "callboard runs show" in said.stderr


def test_json_ends_with_one_object(system: Path) -> None:
    said = callboard("run", "How much?", "--contract", ANY, "--json", "--data", str(system))
    told = last_json(said)
    assert (said.returncode, len(said.stdout.splitlines())) == (0, 1)
    assert (told["status"], told["output"], told["turns"], told["calls"]) == ("completed", {"answer": 42}, 2, 3)
    assert (told["cost_usd"], told["code"], told["reason"]) == (0.0, "", "")
    assert told["url"].endswith(f"/runs/{told['run']}")


def test_a_goal_that_cannot_be_reached_is_3(system: Path) -> None:
    said = callboard("run", "something [impossible]", "--json", "--data", str(system))
    assert said.returncode == 3
    assert last_json(said)["status"] == "unachievable"
    assert last_json(said)["reason"] == "there is no such thing"


def test_a_limit_that_is_reached_is_3(system: Path) -> None:
    said = callboard("run", "How much?", "--contract", ANY, "--max-turns", "1", "--json", "--data", str(system))
    assert said.returncode == 3
    assert last_json(said)["code"] == "iteration_budget"


def test_an_unknown_skill_or_model_is_2(system: Path) -> None:
    assert callboard("run", "--skill", "no-such-skill", "--data", str(system)).returncode == 2
    said = callboard("run", "x", "--model", "openai/no-such-model", "--data", str(system))
    assert said.returncode == 2
    assert "no-such-model" in said.stderr


def test_attached_files_are_there(system: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("the note says hello")
    said = callboard("run", "[note]", "--file", str(tmp_path / "note.txt"), "--data", str(system))
    assert said.returncode == 0, said.stderr
    assert "the note says hello" in said.stdout


def test_a_skill_folder_is_deployed_and_run(system: Path, tmp_path: Path) -> None:
    folder = tmp_path / "count-words"
    folder.mkdir()
    (folder / "SKILL.md").write_text("---\nname: count-words\ndescription: Counts.\n---\n[count] the words.\n")
    (folder / "output.schema.json").write_text('{"type": "integer"}')
    (folder / "input.schema.json").write_text('{"type": "object", "required": ["text"]}')
    said = callboard("run", "--skill", str(folder), "--input", '{"text": "a b"}', "--data", str(system))
    assert (said.returncode, said.stdout.strip()) == (0, "2"), said.stderr
    said = callboard("run", "--skill", "count-words", "--input", "{}", "--data", str(system))
    assert said.returncode == 2
    assert "text" in said.stderr
    assert "count-words" in callboard("skills", "--data", str(system)).stdout


def test_detached_runs_are_listed_shown_and_followed(system: Path) -> None:
    said = callboard("run", "How much?", "--contract", ANY, "--detach", "--json", "--data", str(system))
    assert said.returncode == 0, said.stderr
    run = last_json(said)["run"]
    said = callboard("runs", "tail", run, "--data", str(system))
    assert (said.returncode, json.loads(said.stdout)) == (0, {"answer": 42})
    assert run in callboard("runs", "ls", "--data", str(system)).stdout
    said = callboard("runs", "show", run, "--data", str(system))
    assert "● I calculate." in said.stderr
    assert json.loads(callboard("runs", "show", run, "--json", "--data", str(system)).stdout)["status"] == "completed"
    assert callboard("runs", "show", "01K0000000000000000000000A", "--data", str(system)).returncode == 2


def test_an_interrupted_watcher_leaves_the_run_alone(system: Path) -> None:
    command = [CALLBOARD, "run", "a [slow] one", "--data", str(system)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=CLEAN) as process:
        assert process.stderr is not None
        assert "slow" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 130
    assert "The run goes on" in rest
    assert "Traceback" not in rest
    assert '"status":"running"' in callboard("runs", "ls", "--json", "--data", str(system)).stdout


def test_tools_and_models_are_listed(system: Path, model: str) -> None:
    assert "files.read" in callboard("tools", "--data", str(system)).stdout
    listed = list(map(json.loads, callboard("models", "ls", "--json", "--data", str(system)).stdout.splitlines()))
    assert listed[0]["name"] == model
    assert listed[0]["scripted"]


def test_a_second_system_on_the_same_data_says_who_has_it(system: Path) -> None:
    said = callboard("up", "--data", str(system))
    assert said.returncode == 2
    assert "runs in" in said.stderr
    assert "process" in said.stderr


def test_the_address_wins_over_the_data_folder(system: Path, tmp_path: Path) -> None:
    http = json.loads((system / "system.json").read_text())["http"]
    said = callboard("runs", "ls", CALLBOARD_URL=http, CALLBOARD_DATA=str(tmp_path / "other"))
    assert said.returncode == 0
    assert not (tmp_path / "other").exists()


# ── Without one ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_system_one_is_started_for_the_run_and_what_ran_is_kept(model: str, tmp_path: Path) -> None:
    said = callboard("run", "How much?", "--contract", ANY, "--model", model, "--json", "--data", str(tmp_path))
    assert said.returncode == 0, said.stderr
    run = last_json(said)["run"]
    assert not (tmp_path / "system.json").exists()
    assert run in callboard("runs", "ls", "--data", str(tmp_path)).stdout
    shown = callboard("runs", "show", run[:12], "--data", str(tmp_path))
    assert json.loads(shown.stdout) == {"answer": 42}


def test_an_interrupted_run_of_ones_own_system_goes_on_with_the_next(model: str, tmp_path: Path) -> None:
    command = [CALLBOARD, "run", "a [slow] one", "--model", model, "--data", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=CLEAN) as process:
        assert process.stderr is not None
        assert "slow" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert "is kept" in rest
    assert "Traceback" not in rest
    with up(tmp_path, "--model", model):
        assert '"status":"running"' in callboard("runs", "ls", "--json", "--data", str(tmp_path)).stdout


def test_a_killed_system_leaves_no_server_and_the_next_goes_on(model: str, tmp_path: Path) -> None:
    def until_killed() -> None:
        with up(tmp_path, "--model", model) as (process, _):
            said = callboard("run", "How much?", "--contract", ANY, "--json", "--data", str(tmp_path))
            process.kill()
            raise AssertionError(last_json(said)["status"], process.wait())

    with pytest.raises(AssertionError, match=r"completed.*-9"):
        until_killed()
    with up(tmp_path, "--model", model):
        assert "completed" in callboard("runs", "ls", "--data", str(tmp_path)).stdout


def test_the_folder_of_a_system_is_its_owners_alone(model: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with up(data, "--model", model) as (_, told):
        assert told["data"] == str(data)
        private = [data, data / "users.json", data / "system.json"]
        assert [path.stat().st_mode & 0o077 for path in private] == [0, 0, 0]
        secrets = json.loads((data / "users.json").read_text()).values()
        started = time.monotonic()
        shown = callboard("runs", "ls", "--data", str(data))
        assert time.monotonic() - started < 10
        assert not any(secret in json.dumps(told) + shown.stdout for secret in secrets)
    assert not (data / "system.json").exists()


def test_a_service_that_dies_is_named_and_all_end(tmp_path: Path) -> None:
    """Everything else is drained: no process is left, and what was recorded stays."""
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    said = callboard(
        "up", "--data", str(tmp_path / "data"), "--port", "0", "--http", "127.0.0.1:0", "--model", f"scripted:{broken}"
    )
    assert said.returncode == 2
    assert "models: " in said.stderr
    assert "Traceback" not in said.stderr
