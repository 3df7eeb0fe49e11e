"""Several planners and guards share the partitions, and take over from each other."""

import asyncio
import signal
from pathlib import Path

import pytest
import structlog

from callboard.bus import Bus, Puller, layout
from callboard.service import Context
from callboard.settings import Settings
from callboard_contracts import ids
from callboard_contracts.goal import Submit
from callboard_services.guard.serve import serve as guard
from callboard_services.models.serve import serve as models
from callboard_services.planner.serve import serve as planner
from callboard_services.tools.serve import serve as tools
from tests.integration.processes import hosting
from tests.integration.system import GROUPS, asks, new_id, running, script

pytestmark = pytest.mark.anyio

STEPS = [asks(("calc", {"expression": "1+1"})), {"output": "done"}]
TWICE = {"tools": tools, "planner": planner, "planner2": planner, "guard": guard, "guard2": guard, "models": models}
TAKEN_OVER_S = 3.0
"""Far below the ack wait of half a minute, and far above what it takes on a busy machine."""


async def owners(url: str, service: str, count: int) -> None:
    """Wait until so many workers of a service know of each other."""
    async with await Bus.connect(url, name="test") as bus, asyncio.timeout(15):
        while len(await bus.gather(f"$SRV.PING.{service}", b"", window_s=0.2)) != count:
            pass
    await asyncio.sleep(1.5)  # each looks for the others every second


async def test_two_planners_and_two_guards_share_the_partitions_and_lose_no_race(
    fresh_broker: str, tmp_path: Path
) -> None:
    async with running(fresh_broker, tmp_path, script(STEPS), TWICE) as system:
        await owners(fresh_broker, "planner", 2)
        await owners(fresh_broker, "guard", 2)
        with structlog.testing.capture_logs() as logs:
            found = await asyncio.gather(*(system.run(objective="x") for _ in range(60)))
    assert [watched.ended.status for watched in found] == ["completed"] * 60
    assert [entry for entry in logs if entry["event"] == "turn lost"] == []


async def test_new_inputs_of_a_planner_that_was_killed_are_taken_over_at_once(
    fresh_broker: str, tmp_path: Path
) -> None:
    services = ("tools", "models", "guard", "guard", "planner", "planner")
    async with hosting(fresh_broker, tmp_path, script(STEPS), services) as (host, system):
        await owners(fresh_broker, "planner", 2)
        await owners(fresh_broker, "guard", 2)
        for name in ("planner", "guard"):
            victim = next(process for process in host.processes if process.name == name)
            await victim.stop(signal.SIGKILL)
            goals = [Submit(id=new_id(), objective="x") for _ in range(8)]
            assert {ids.partition(goal.id) % GROUPS for goal in goals} == set(range(GROUPS))
            for goal in goals:
                system.watch(goal.id)
                await system.publish(goal)
            found = await asyncio.gather(*(system.ended(goal.id, TAKEN_OVER_S) for goal in goals))
            assert {watched.ended.status for watched in found} == {"completed"}


async def test_what_a_killed_planner_had_taken_goes_on_when_the_next_one_starts(
    fresh_broker: str, tmp_path: Path
) -> None:
    """The broker would deliver it again after the ack wait: a new worker that finds itself alone does not wait."""
    async with await Bus.connect(fresh_broker, name="dead") as dead:
        await layout.provision(dead, GROUPS)
        taken = asyncio.Event()
        puller = Puller(dead, layout.GOALS, "planner", lambda _: taken.set())
        await puller.start()
        goal = Submit(id=new_id(), objective="x")
        others = {"tools": tools, "guard": guard, "models": models}
        async with running(fresh_broker, tmp_path, script(STEPS), others) as system:
            watched = system.watch(goal.id)
            await system.publish(goal)
            await asyncio.wait_for(taken.wait(), 5)
            await puller.stop()
            stop, ready = asyncio.Event(), asyncio.Event()
            async with await Bus.connect(fresh_broker, name="planner") as bus:
                settings = Settings(nats=fresh_broker, data=tmp_path)
                work = asyncio.create_task(planner(Context(bus, GROUPS, settings, stop, ready.set)))
                await system.ended(goal.id, TAKEN_OVER_S)
                stop.set()
                await work
    assert watched.ended.status == "completed"
