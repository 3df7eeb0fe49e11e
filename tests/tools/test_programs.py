"""Programs that calls run: bounded, without secrets, and gone with their call."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import anyio.from_thread
import pytest

from callboard.bus import Bus
from callboard.tools import ToolContext, ToolError, tool
from callboard.tools.process import Finished, Limits, Programs
from callboard_contracts.call import Completed, Failed, Lost
from tests.tools.conftest import GROUPS, Serve
from tests.tools.parts import Processes, World, alive, durables, until

PYTHON = sys.executable
FAMILY = """
trap '' TERM
sh -c 'echo $$ >> {0}; exec sleep 600' &
setsid sh -c 'echo $$ >> {0}; exec sleep 600' &
echo $$ >> {0}
wait
"""
"""A shell that heeds no SIGTERM, a child of its, and one that left the process group."""
NO_LIMITS = Limits()


@pytest.fixture
def pids(tmp_path: Path) -> Callable[[], list[int]]:
    """Return what reads the process ids that a program wrote down."""
    file = tmp_path / "pids"

    def read() -> list[int]:
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    return read


async def ran(*argv: str, input_: bytes = b"", limits: Limits = NO_LIMITS, keep: int = 1000, **env: str) -> Finished:
    async with asyncio.timeout(30):
        return await Programs("CALL").run(argv, input_, env, None, limits, (keep, keep))


async def test_a_program_is_given_its_input_and_what_it_says_is_returned() -> None:
    found = await ran("sh", "-c", "cat; echo wrong >&2; exit 3", input_=b"hello")
    assert found == Finished(returncode=3, stdout=b"hello", stderr=b"wrong\n")


async def test_a_program_sees_nothing_of_this_environment_but_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    found = await ran("sh", "-c", "env; tr '\\0' '\\n' < /proc/$PPID/environ", MINE="x")
    names = {line.partition("=")[0] for line in found.stdout.decode().splitlines()}
    assert names >= {"PATH", "MINE", "CALLBOARD_CALL"}
    assert names <= {
        "PATH",
        "MINE",
        "CALLBOARD_CALL",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "PWD",
        "SHLVL",
        "_",
    }


async def test_of_more_output_than_is_kept_the_beginning_is_kept() -> None:
    found = await ran("sh", "-c", "echo begin; head -c 5000000 /dev/zero", keep=8)
    assert (found.returncode, found.stdout, found.cut) == (0, b"begin\n\0\0", True)


LEAVES = """
sh -c 'echo $$ >> {0}; exec sleep 600' &
setsid sh -c 'echo $$ >> {0}; exec sleep 600' &
until [ "$(wc -l < {0})" = 2 ]; do sleep 0.01; done
"""


async def test_what_a_program_leaves_running_is_killed_when_it_ends(
    pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    found = await ran("sh", "-c", LEAVES.format(tmp_path / "pids"))
    assert found.returncode == 0
    assert len(pids()) == 2
    assert not any(alive(pid) for pid in pids())


async def test_a_program_that_is_cancelled_is_killed_with_all_that_it_started(
    pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    task = asyncio.create_task(ran("sh", "-c", FAMILY.format(tmp_path / "pids")))
    await until(lambda: len(pids()) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids())


async def test_a_program_is_asked_to_end_before_it_is_killed(tmp_path: Path) -> None:
    trap = f"trap 'echo ended > {tmp_path}/word; exit 0' TERM; echo > {tmp_path}/began; while :; do sleep 0.01; done"
    task = asyncio.create_task(ran("sh", "-c", trap))
    await until((tmp_path / "began").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "word").read_text() == "ended\n"


async def test_a_program_that_is_cancelled_while_it_is_started_leaves_nothing() -> None:
    before = _descriptors()
    for passes in range(6):
        task = asyncio.create_task(ran("sleep", "600"))
        for _ in range(passes):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert _descriptors() <= before


def _descriptors() -> int:
    found = Path("/proc/self/fd")
    return len(list(found.iterdir())) if found.exists() else 0


async def test_a_program_that_cannot_be_started_is_an_error_with_its_name() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        await ran("no-such-program")
    with pytest.raises(PermissionError):
        await ran("/etc/passwd")


LIMITED = [
    pytest.param(Limits(memory_bytes=256 << 20), "bytearray(1 << 30)", "ended with exit code 1", id="memory"),
    pytest.param(Limits(cpu_s=1), "while True: pass", "was killed by SIGXCPU", id="cpu"),
    pytest.param(
        Limits(file_bytes=1 << 20), "open('f', 'wb').write(bytes(1 << 22))", "ended with exit code 1", id="file"
    ),
]


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not keep to RLIMIT_AS")
@pytest.mark.parametrize(("limits", "source", "ending"), LIMITED)
async def test_a_program_gets_no_more_than_its_limits(
    limits: Limits, source: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = await ran(PYTHON, "-c", source, limits=limits)
    assert found.ending == ending
    assert _bytes_in(tmp_path) <= 1 << 20


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


async def test_a_tool_s_program_is_ended_when_the_call_s_time_is_over(
    world: World, serve: Serve, pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    @tool(name="shell", effect="write", concurrency=1)
    async def shell(context: ToolContext, command: str) -> int:
        """Run a command."""
        return (await context.process(["sh", "-c", command])).returncode

    await serve(shell)
    hung = await world.grant("shell", {"command": FAMILY.format(tmp_path / "pids")}, timeout_s=1.0)
    assert isinstance(await world.result(hung), Lost)
    assert len(pids()) == 3
    assert not any(alive(pid) for pid in pids())
    fine = await world.result(await world.grant("shell", {"command": "exit 7"}))
    assert isinstance(fine, Completed)
    assert fine.output == 7


async def test_a_thread_that_the_call_left_behind_loses_its_program_and_starts_no_other(
    world: World, serve: Serve, pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    raised: list[str] = []

    @tool(name="shell", effect="read")
    def shell(context: ToolContext, command: str) -> None:
        """Run a command, and once more."""
        for _ in range(2):
            try:
                anyio.from_thread.run(context.process, ["sh", "-c", command])
            except ToolError as error:
                raised.append(error.message)

    await serve(shell)
    call = await world.grant("shell", {"command": FAMILY.format(tmp_path / "pids")})
    await until(lambda: len(pids()) == 3)
    await world.cancel(world.tree)
    assert isinstance(await world.result(call), Failed)
    assert not any(alive(pid) for pid in pids())
    await until(lambda: len(raised) == 2)
    assert raised == ["the call is over: sh was stopped", "the call is over: sh was not started"]
    assert len(pids()) == 3


SHELL = """
from callboard.tools import ToolContext, serve_tools, tool

@tool(name="shell", effect="read")
async def shell(context: ToolContext, command: str) -> int:
    "Run a command."
    return (await context.process(["sh", "-c", command])).returncode

serve_tools(shell)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_the_programs_of_an_executor_that_ends_in_any_way_end_with_it(
    how: signal.Signals, world: World, bus: Bus, processes: Processes, pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    await durables(bus, GROUPS, "shell", ack_wait_s=30.0)
    process = processes.start(SHELL)
    await world.grant("shell", {"command": FAMILY.format(tmp_path / "pids")}, timeout_s=3)
    await until(lambda: len(pids()) == 3)
    process.send_signal(how)
    await until(lambda: not any(alive(pid) for pid in pids()), within_s=1 if how == signal.SIGKILL else 8)
    process.wait(10)
