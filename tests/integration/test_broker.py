"""The broker goes away and comes back: nothing that was accepted is lost, and no process has to be restarted."""

import asyncio
import signal
from pathlib import Path

import pytest

from callboard.server import start_server
from callboard.server.config import Plan
from callboard_contracts import guard, run
from callboard_contracts.goal import Limits, Submit
from tests.integration.system import asks, free_port, new_id, running, script

pytestmark = pytest.mark.anyio

SCRIPT = script([*[asks(("calc", {"expression": f"{n}+1"})) for n in range(40)], {"output": "done"}])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_run_goes_on_after_the_broker_was_killed(tmp_path: Path, how: signal.Signals) -> None:
    plan = Plan(store=tmp_path / "nats", port=free_port(), sync="always")
    async with start_server(plan) as first, running(first.url, tmp_path, SCRIPT) as system:
        goal = Submit(id=new_id(), objective="survive", limits=Limits(max_turns=100))
        watched = system.watch(goal.id)
        await system.publish(goal)
        while len(watched.events(guard.Granted)) < 10:  # noqa: ASYNC110 - what is waited for is the run's own pace
            await asyncio.sleep(0.01)
        first.process.send_signal(how)
        await first.process.wait()
        async with start_server(plan):
            ended = await system.settled(goal.id, 40)
            assert ended.status == "completed", ended
            again = await system.run(objective="again", timeout_s=40, limits=Limits(max_turns=100))
            assert again.ended.status == "completed"
            assert len(again.events(run.Ended)) == 1
