"""A tool's process that dies anywhere has its effect at most once, and the run hears what is known of it."""

import signal
import subprocess
from pathlib import Path

import pytest

from callboard.bus import Bus, layout
from callboard_contracts.call import Completed, Lost
from tests.tools.conftest import GROUPS
from tests.tools.parts import Processes, World, durables, eventually, pending, until

TOOL = """
import os
from callboard.tools import ToolContext, serve_tools, tool

@tool(name="count.{effect}", effect="{effect}")
def count(context: ToolContext) -> int:
    "Append a line to a file outside."
    with open(os.environ["COUNTER"], "a") as file:
        file.write(context.call + "\\n")
    return context.attempt

serve_tools(count)
"""

POINTS = ("executor.before_effect", "executor.after_effect", "executor.after_result")


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    return tmp_path / "counter"


def effects(counter: Path) -> list[str]:
    return counter.read_text().split() if counter.exists() else []


async def until_dead(process: subprocess.Popen[bytes]) -> None:
    await until(lambda: process.poll() is not None)
    assert process.returncode == 137


@pytest.mark.parametrize("point", POINTS)
async def test_a_write_has_its_effect_at_most_once_wherever_its_process_dies(
    point: str, world: World, bus: Bus, processes: Processes, counter: Path
) -> None:
    await durables(bus, GROUPS, "count.write", ack_wait_s=1.0)
    await world.answer_whether_open()
    first = processes.start(TOOL.format(effect="write"), CRASH_AT=point, COUNTER=str(counter))
    id_ = await world.grant("count.write")
    await until_dead(first)
    processes.start(TOOL.format(effect="write"), COUNTER=str(counter))
    result = await world.result(id_)
    await eventually(lambda: _nothing_pending(bus, "count.write"))
    assert effects(counter) == ([] if point == "executor.before_effect" else [id_])
    assert isinstance(result, Completed if point == "executor.after_result" else Lost)
    assert world.results[id_] == [result]


@pytest.mark.parametrize("point", POINTS)
async def test_a_read_is_simply_run_again(
    point: str, world: World, bus: Bus, processes: Processes, counter: Path
) -> None:
    await durables(bus, GROUPS, "count.read", ack_wait_s=1.0)
    first = processes.start(TOOL.format(effect="read"), CRASH_AT=point, COUNTER=str(counter))
    id_ = await world.grant("count.read")
    await until_dead(first)
    processes.start(TOOL.format(effect="read"), COUNTER=str(counter))
    await eventually(lambda: _nothing_pending(bus, "count.read"))
    assert all(isinstance(result, Completed) for result in world.results[id_])


HOLD = """
import os, time
from callboard.tools import ToolContext, serve_tools, tool

@tool(name="hold", effect="irreversible")
def hold(context: ToolContext) -> str:
    "Write first, then take long."
    with open(os.environ["COUNTER"], "a") as file:
        file.write(context.call + "\\n")
    time.sleep(float(os.environ["TAKES"]))
    return "done"

serve_tools(hold, concurrency=1)
"""


async def test_a_write_that_had_not_begun_when_its_process_was_killed_is_run_by_another(
    world: World, bus: Bus, processes: Processes, counter: Path
) -> None:
    """The first process holds a call of each journal and runs one: of the other, nobody doubts that it did nothing."""
    await durables(bus, GROUPS, "hold", ack_wait_s=1.0)
    await world.answer_whether_open()
    first = processes.start(HOLD, TAKES="60", COUNTER=str(counter))
    calls = []
    for group in range(GROUPS):
        world.new_tree(group, GROUPS)
        calls.append(await world.grant("hold"))
    await eventually(lambda: _held(bus, counter))
    first.kill()
    first.wait()
    processes.start(HOLD, TAKES="0", COUNTER=str(counter))
    results = [await world.result(call) for call in calls]
    assert {type(result) for result in results} == {Completed, Lost}
    assert sorted(effects(counter)) == sorted(calls)


async def test_a_write_is_lost_when_nobody_can_say_whether_it_is_open(
    world: World, bus: Bus, processes: Processes, counter: Path
) -> None:
    await durables(bus, GROUPS, "count.write", ack_wait_s=1.0)
    first = processes.start(TOOL.format(effect="write"), CRASH_AT="executor.after_effect", COUNTER=str(counter))
    id_ = await world.grant("count.write")
    await until_dead(first)
    processes.start(TOOL.format(effect="write"), COUNTER=str(counter))
    assert isinstance(await world.result(id_), Lost)
    assert effects(counter) == [id_]


async def test_a_process_that_was_stopped_and_goes_on_later_repeats_nothing(
    world: World, bus: Bus, processes: Processes, counter: Path
) -> None:
    """A zombie: it had pulled calls when it was frozen, another one took them, and then it woke up."""
    await durables(bus, GROUPS, "count.write", ack_wait_s=1.0)
    await world.answer_whether_open()
    source = TOOL.format(effect="write")
    zombie = processes.start(source, COUNTER=str(counter))
    await world.result(await world.grant("count.write"))
    zombie.send_signal(signal.SIGSTOP)
    calls = [await world.grant("count.write") for _ in range(5)]
    processes.start(source, COUNTER=str(counter))
    for call in calls:
        await world.result(call)
    zombie.send_signal(signal.SIGCONT)
    await eventually(lambda: _nothing_pending(bus, "count.write"))
    assert len(effects(counter)) == len(set(effects(counter))) == 6


async def _nothing_pending(bus: Bus, tool: str) -> bool:
    return await pending(bus, GROUPS, tool) == 0


async def _held(bus: Bus, counter: Path) -> bool:
    delivered = [await bus.api(f"CONSUMER.INFO.{layout.journal(group)}.tool-hold") for group in range(GROUPS)]
    return len(effects(counter)) == 1 and all(info["num_ack_pending"] == 1 for info in delivered)
