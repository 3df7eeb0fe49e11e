"""What the command line refuses by itself: exit code 2, one sentence on what is wrong, one on what to do."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from callboard import cli
from callboard.cli.main import call
from callboard_contracts.errors import CATALOGUE

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("CALLBOARD_", "NATS_"))}


@pytest.fixture(autouse=True)
def no_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in set(os.environ) - set(CLEAN):
        monkeypatch.delenv(name)
    monkeypatch.setenv("CALLBOARD_DATA", str(tmp_path / "data"))


WRONG = [
    (["bogus"], "bogus"),
    (["run", "--bogus", "x"], "--bogus"),
    (["run"], "goal"),
    (["run", "   "], "goal"),
    (["run", "x", "--budget-usd", "much"], "--budget-usd 'much'"),
    (["run", "x", "--budget-usd", "-1"], "--budget-usd '-1'"),
    (["run", "x", "--budget-usd", "nan"], "--budget-usd 'nan'"),
    (["run", "x", "--max-turns", "0"], "--max-turns 0"),
    (["run", "x", "--max-turns", "many"], "many"),
    (["run", "x", "--timeout", "soon"], "--timeout 'soon'"),
    (["run", "x", "--timeout", "0"], "--timeout '0'"),
    (["run", "x", "--input", "{broken"], "--input"),
    (["run", "x", "--input", "no-such-file.json"], "no-such-file.json"),
    (["run", "x", "--contract", '{"type": "nonsense"}'], "--contract"),
    (["run", "x", "--contract", "[]"], "--contract"),
    (["run", "x", "--skill", "No Such Skill"], "No Such Skill"),
    (["run", "x", "--skill", "./no-such-folder"], "no-such-folder"),
    (["run", "x", "--file", "no-such-file"], "no-such-file"),
    (["run", "x", "--tools", "Not-A-Tool"], "Not-A-Tool"),
    (["run", "x", "--tag", ":blue"], "--tag"),
    (["run", "x", "--detach"], "no system runs"),
    (["run", "x", "--url", "http://127.0.0.1:9"], "127.0.0.1:9"),
    (["run", "x", "--url", "no url at all"], "no url at all"),
    (["up", "--nats", "nats://127.0.0.1:9"], "127.0.0.1:9"),
    (["up", "--nats", "not a url"], "not a url"),
    (["up", "--http", "nowhere"], "nowhere"),
    (["up", "--skills", "no-such-folder"], "no-such-folder"),
    (["skills", "deploy", "no-such-folder"], "no-such-folder"),
    (["models", "pull", "model.txt", "--sha256", "0" * 64], "model.txt"),
    (["models", "pull", "no-such.gguf", "--sha256", "0" * 64], "no-such.gguf"),
    (["models", "pull", "x.gguf", "--sha256", "short"], "short"),
    (["keys", "add", "no good name"], "no good name"),
    (["keys", "rm", "nobody"], "nobody"),
]


@pytest.mark.parametrize(("tokens", "named"), WRONG, ids=[" ".join(tokens) for tokens, _ in WRONG])
def test_bad_input_is_named_with_advice_and_no_stack_trace(
    tokens: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tokens) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert named in shown.err
    assert "Traceback" not in shown.err
    lines = shown.err.strip().splitlines()
    assert len(lines) == 2
    assert all(line.endswith((".", "?", "!")) or "--help`." in line for line in lines)


def test_a_data_folder_that_cannot_be_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert call(["up", "--data", str(tmp_path / "file")]) == 2
    assert "data folder" in capsys.readouterr().err


def test_every_error_of_the_catalogue_has_advice_to_end_its_message_with() -> None:
    assert all(entry.title and entry.advice.endswith(".") for entry in CATALOGUE.values())


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    import importlib.metadata

    assert call(["--version"]) == 0
    assert capsys.readouterr().out.strip() == importlib.metadata.version("callboard")


@pytest.mark.parametrize("tokens", [["--help"], [], ["run", "--help"], ["up", "--help"], ["runs", "--help"]])
def test_help_is_an_answer_and_no_error(tokens: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tokens) == 0
    assert "callboard" in capsys.readouterr().out


def test_help_costs_little_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time\n"
        "from callboard.cli.main import call\n"
        "call(['--help'])\n"
        "heavy = {'litellm', 'lancedb', 'pyarrow', 'nats', 'httpx', 'structlog', 'callboard.bus'} & set(sys.modules)\n"
        "print(sorted(heavy), time.process_time(), file=sys.stderr)\n"
    )
    costs = []
    for _ in range(3):
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=CLEAN)
        heavy, _, cpu = said.stderr.strip().rpartition(" ")
        assert heavy == "[]"
        costs.append(float(cpu))
    assert min(costs) < 0.45  # 0.27 on an idle machine; a busy one shares its caches


def test_the_console_script_is_this_program() -> None:
    script = Path(sys.executable).parent / "callboard"
    said = subprocess.run([script, "run"], capture_output=True, text=True, check=False, env=CLEAN)
    assert said.returncode == 2
    assert "goal" in said.stderr
    assert callable(cli.main)


def test_keys_are_made_listed_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["keys", "add", "ci"]) == 0
    token = capsys.readouterr().out.strip()
    assert token.startswith("cb_")
    assert call(["keys", "ls"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("ci ")
    assert token not in listed
    assert call(["keys", "rm", "ci"]) == 0
    assert "worthless" in capsys.readouterr().out


def test_doctor_says_what_there_is_and_how_to_get_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    call(["doctor", "--json"])
    found = {row["what"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["Python"]["health"] == "ok"
    assert found["nats-server"]["health"] == "ok"
    assert found["data folder"]["health"] == "ok"
    assert all(row["advice"] for row in found.values() if row["health"] == "missing")


def test_doctor_fails_when_something_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBOARD_MODEL", "scripted:/no/such/file.json")
    assert call(["doctor"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "Missing: model." in shown
    assert "OPENAI_API_KEY" in shown


def test_a_model_is_kept_only_when_its_digest_is_the_one_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hashlib import sha256

    source = tmp_path / "small.gguf"
    source.write_bytes(b"weights")
    assert call(["models", "pull", str(source), "--sha256", "0" * 64]) == 2
    assert "not the one given" in capsys.readouterr().err
    assert list((tmp_path / "data" / "models").iterdir()) == []
    assert call(["models", "pull", str(source), "--sha256", sha256(b"weights").hexdigest()]) == 0
    assert (tmp_path / "data" / "models" / "small.gguf").read_bytes() == b"weights"


def test_the_default_model_is_kept(tmp_path: Path) -> None:
    from callboard.models_store import Config, config

    assert call(["models", "use", "local/small"]) == 0
    assert config(tmp_path / "data") == Config(model="local/small")


def test_what_takes_long_is_not_started_for_bad_input() -> None:
    started = time.monotonic()
    assert call(["run", "x", "--budget-usd", "much"]) == 2
    assert time.monotonic() - started < 2
