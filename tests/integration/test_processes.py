"""Every service in a process of its own: together, and scaled by starting more."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from callboard.bus import layout, reader
from callboard_contracts import guard, run, subjects, wire
from callboard_contracts.call import Completed
from tests.integration.processes import ALL, hosting
from tests.integration.system import System, Watched, asks, script

pytestmark = pytest.mark.anyio

SCRIPT = script(
    [
        asks(("calc", {"expression": "1+1"})),
        asks(("calc", {"expression": "2+2"}), ("calc", {"expression": "3+3"})),
        {"output": "done"},
    ],
    delegates=[
        asks(("agent.run", {"objective": "a part"}), ("agent.run", {"objective": "a part"})),
        {"output": "both"},
    ],
    sleepy=[asks(*[("sleepy", {"index": index}) for index in range(24)]), {"output": "slept"}],
)

TOOL = """
import asyncio
from callboard.tools import serve_tools, tool

@tool(effect="pure")
async def sleepy(index: int) -> int:
    '''Sleep a little and say which process it was.'''
    import os
    await asyncio.sleep(0.05)
    return os.getpid()

if __name__ == "__main__":
    print("sleepy ready", flush=True)
    serve_tools(sleepy, concurrency=2)
"""


async def test_all_services_work_as_separate_processes_and_drain_when_asked(fresh_broker: str, tmp_path: Path) -> None:
    async with hosting(fresh_broker, tmp_path, SCRIPT) as (host, system):
        watched = await system.run(objective="work")
        assert watched.ended.output == "done"
        assert [await process.stop(signal.SIGTERM) for process in host.processes] == [0] * len(ALL)


async def test_a_tree_costs_the_sum_of_its_calls_across_sub_agents_in_other_processes(
    fresh_broker: str, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({f"scripted:{tmp_path / 'script.json'}": {"input": 1.5, "output": 6.0}}))
    os.environ["CALLBOARD_PRICES"] = str(prices)
    try:
        async with hosting(fresh_broker, tmp_path, SCRIPT, (*CORE, "planner", "ledger")) as (_, system):
            tree = await system.run(objective="delegates")
            closed = await system.closed(tree)
            seen = await system.bus.request(
                subjects.ask("default", "ledger", "run"), wire.encode({"run": tree.tree, "min_seq": closed})
            )
    finally:
        del os.environ["CALLBOARD_PRICES"]
    assert tree.ended.output == "both"
    taken = [result for event in tree.events(run.Took) for result in event.results]
    costs = [result.cost_micro_usd for result in taken]
    assert sum(cost > 0 for cost in costs) == 8
    assert tree.events(guard.Closed, tree.tree)[-1].committed_micro_usd == sum(costs)
    assert json.loads(seen.body)["run"]["tree_cost_micro_usd"] == sum(costs), seen.body


CORE = ("tools", "guard", "planner", "models")


async def test_a_second_process_of_a_tool_takes_its_share(fresh_broker: str, tmp_path: Path) -> None:
    path = tmp_path / "sleepy.py"
    path.write_text(TOOL)
    async with hosting(fresh_broker, tmp_path, SCRIPT, CORE) as (host, system):
        for _ in range(2):
            await host.start("sleepy", program=(str(path),))
        await system.until_admitted("sleepy")
        watched = await system.run(objective="sleepy", timeout_s=30)
        assert watched.ended.output == "slept"
        shares = Counter([await _answer(system, watched.tree, one.seq) for one in _taken(watched, "sleepy")])
    assert len(shares) == 2
    assert min(shares.values()) >= 6


def _taken(watched: Watched, tool: str) -> list[run.Taken]:
    return [one for event in watched.events(run.Took) for one in event.results if one.tool == tool]


async def _answer(system: System, tree: str, seq: int) -> object:
    message = await reader.get(system.bus, layout.journal_of(tree, system.groups), seq)
    assert message is not None
    return wire.decode(message.body, Completed).output
