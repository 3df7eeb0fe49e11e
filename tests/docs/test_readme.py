"""Every command of the README, run as a newcomer would, in its order, with the built-in model."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
PROOFS = re.findall(r"^\|.*\| `(just [^`]+)` \|$", README, re.MULTILINE)
"""The last column of the table of faults."""
CONTROL = "runs=http://"
SERVICES = "deploy/services.sh"
TOOL = "python dice.py &"
BY_CI = ("just demo", "just test")

pytestmark = [pytest.mark.local_model, pytest.mark.xdist_group("ports")]  # the ports of the README, one at a time
pytest.importorskip("xllamacpp")
pytest.importorskip("duckdb")


class Newcomer:
    """A person in a clone, with a home of their own and two terminals."""

    def __init__(self, home: Path) -> None:
        self.clone = home / "callboard"
        self.clone.mkdir()
        for path in ROOT.iterdir():
            if path.name != ".git":
                (self.clone / path.name).symlink_to(path)
        (self.clone / "dice.py").write_text(PROGRAM)
        self.env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")} | {
            "HOME": str(home),
            "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        }

    def runs(self, block: str, timeout_s: float = 120) -> str:
        """Run a block and return what it printed."""
        script = ["bash", "-euo", "pipefail", "-c", block]
        done = subprocess.run(
            script, cwd=self.clone, env=self.env, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def leaves_running(self, block: str, ready: str) -> Iterator[None]:
        """Run a block in another terminal until it says a word, and stop it in the end as Ctrl-C would."""
        log = self.clone.parent / "terminal.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {block}"],
                cwd=self.clone,
                env=self.env,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            until(lambda: ready in log.read_text() or process.poll() is not None, 60)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(40)


def until(holds: object, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_two_commands_are_what_ci_runs_on_a_fresh_clone() -> None:
    ci = (ROOT / ".ci/run").read_text()
    found = [block.strip() for block in BLOCKS if block.strip().endswith(BY_CI)]
    assert len(found) == 2
    assert all(command in ci for command in found)


def test_every_other_command_does_what_is_said(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path)
    todo = [block.strip() for block in BLOCKS if not block.strip().endswith(BY_CI)]
    before, up, *rest = todo[: todo.index(_starting(todo, SERVICES))]
    assert "callboard doctor" in before
    newcomer.runs(before)
    printed = {}
    with newcomer.leaves_running(up, "http://"):
        for block in rest:
            printed[block] = newcomer.runs(_stopping_tools(block))
    assert "52" in printed[_starting(rest, "callboard run ")]
    assert json.loads(printed[_starting(rest, "curl")].splitlines()[0].partition("}")[0] + "}")["run"]
    control = printed[_starting(rest, CONTROL)]
    assert control.count('"changed":true') == 3, control
    assert all(told in control for told in ("It was paused by", "let me look", "The model reads it", " takes up "))
    assert '"run.ended.v1"' in printed[_starting(rest, "python tests/foreign")]
    assert "dice.roll" in printed[_starting(rest, TOOL)]


def test_the_services_script_runs_a_process_per_service_that_the_command_line_finds(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path)
    block = _starting([each.strip() for each in BLOCKS], SERVICES).partition(" ")[0]
    with newcomer.leaves_running(block, "ready: http"):
        assert "table.query" in newcomer.runs("callboard tools")


def recipe(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a recipe here, where everything is set up."""
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTEST_ADDOPTS": ""} | environment
    script = ["bash", "-c", command]
    return subprocess.run(script, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_the_benchmark_prints_a_line_of_json() -> None:
    done = recipe(_starting([each.strip() for each in BLOCKS], "just bench"))
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    assert all(2.9 < line["messages_per_activity"] <= 3 for line in measured["w1"])


def test_what_is_said_to_survive_is_proved_by_commands_that_find_their_tests() -> None:
    """They take minutes, so their tests are only collected here: pytest fails when there is none."""
    commands = [command for command in dict.fromkeys(PROOFS) if not command.startswith("just simulate")]
    assert len(commands) > 10
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda command: recipe(command, PYTEST_ADDOPTS="--collect-only"), commands))
    assert {
        command: done.stdout + done.stderr for command, done in zip(commands, found, strict=True) if done.returncode
    } == {}
    assert all("tests collected" in done.stdout or "test collected" in done.stdout for done in found)


def test_the_simulator_finds_nothing_in_the_seeds_that_are_named() -> None:
    block = _starting([each.strip() for each in BLOCKS], "just simulate")
    assert block in PROOFS
    done = recipe(block)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 with violations" in done.stdout


def test_every_file_that_is_linked_is_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)|^\[\w+\]: (\S+)$", README, re.MULTILINE)
    files = [first or second for first, second in targets if "://" not in first + second]
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def _starting(blocks: list[str], beginning: str) -> str:
    return next(block for block in blocks if block.startswith(beginning))


def _stopping_tools(block: str) -> str:
    """Look at the tools that a block left running, and stop them."""
    if not block.startswith(TOOL):
        return block
    wait = "for i in $(seq 50); do callboard tools | grep -q 'dice.roll' && break; sleep 0.2; done"
    return f"{block}\n{wait}\ncallboard tools\nkill %1 %2\nwait"
