"""A run of ten thousand turns: the last turn costs what the tenth did, and the run is read back at once."""

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callboard.bus import Bus, layout, reader
from callboard.runtime import Journal
from callboard.tools import Tool, ToolContext, tool
from callboard.tools.executor import serving
from callboard_contracts import ids, run, subjects, wire
from callboard_contracts.goal import Limits, Submit
from callboard_contracts.journal import Record
from callboard_services.planner.actor import Planner
from tests.integration.system import System, asks, new_id, running, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TURNS = 10_000
OUTPUT_BYTES = 20_000
"""Ten thousand of them are 200 MB."""
LIMITS = Limits(max_turns=TURNS + 1, max_calls=3 * TURNS, max_tokens=10**12, timeout_s=86_400.0, budget_micro_usd=None)
LOAD_MS = 50.0


@tool(name="soak.page")
def page(number: int, context: ToolContext) -> str:
    """Return a page that no other turn returns."""
    return f"{number}:{context.call}:" + "x" * OUTPUT_BYTES


@asynccontextmanager
async def long_run(url: str, folder: Path) -> AsyncIterator[tuple[System, str]]:
    """Make the run, and yield the system and the run's id when it ended."""
    assert isinstance(page, Tool)
    steps = [asks(("soak.page", {"number": number})) for number in range(TURNS)]
    async with (
        running(url, folder, script([*steps, {"output": "done"}])) as system,
        await Bus.connect(url, name="soak") as bus,
        serving(bus, system.groups, [page]),
    ):
        await system.until_admitted("soak.page")
        goal = Submit(id=new_id(), objective="read everything", limits=LIMITS)
        await system.publish(goal)
        ended = await system.settled(goal.id, timeout_s=1500)
        assert (ended.status, ended.turns) == ("completed", TURNS + 1), ended
        yield system, goal.id


async def turns(system: System, name: str) -> list[tuple[int, int, int]]:
    """Return each turn's number, the bytes stored for it, and when it began (ms)."""
    stream = layout.journal_of(name, system.groups)
    found: list[tuple[int, int, int]] = []
    everything = f"cb.default.*.{ids.partition(name)}.{name}.>"
    async for message in reader.scan(system.bus, stream, everything):
        if message.stored_subject.endswith(".log.called"):
            turn = next(e.turn for e in wire.decode(message.body, Record).events if isinstance(e, run.Called))
            found.append((turn, 0, message.time_ms))
        if found:
            turn, stored, at = found[-1]
            found[-1] = (turn, stored + len(message.body) + len(message.block) + len(message.stored_subject), at)
    return found


def around(found: list[tuple[int, int, int]], turn: int) -> float:
    """Return the bytes of two turns (the model's and the tool's), as the mean of the sixteen before a turn.

    Sixteen, because every sixteenth record holds a snapshot.
    """
    return statistics.mean(found[n][1] + found[n + 1][1] for n in range(turn, turn + 32, 2))


async def test_a_run_of_ten_thousand_turns_and_200_mb_completes_at_a_flat_cost_and_loads_at_once(
    fresh_broker: str, tmp_path: Path
) -> None:
    async with long_run(fresh_broker, tmp_path) as (system, name):
        found = await turns(system, name)
        early, middle, late = (around(found, turn) for turn in (10, 2_000, 2 * TURNS - 100))
        assert middle == pytest.approx(early, rel=0.1)
        assert late == pytest.approx(early, rel=0.1)
        journal = Journal(system.bus, system.groups, Planner())
        address = subjects.Address.of_run("default", name)
        times = []
        for _ in range(11):
            begun = time.perf_counter()
            assert (await journal.load(address)).state.ended
            times.append((time.perf_counter() - begun) * 1000)
        assert statistics.median(times) < LOAD_MS
        first, last = found[100][2] - found[0][2], found[-1][2] - found[-101][2]
        print(f"bytes a round: {early:.0f} {middle:.0f} {late:.0f}; load {statistics.median(times):.1f} ms;")  # noqa: T201 - the recipe shows it
        print(f"100 turns: {first} ms at the start, {last} ms at the end")  # noqa: T201
