"""`why`: stalls are planted by stopping services, filling tools, withholding answers; each is named for what it is."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callboard.bus import Bus, layout
from callboard.client import Client, Goal
from callboard.service import Context
from callboard.settings import Settings
from callboard_contracts import dead, guard, ids, run, subjects, wire
from callboard_contracts.errors import CallboardError
from tests.conftest import empty_broker
from tests.integration.processes import ALL, hosting
from tests.integration.stage import WHOLE, Stage, journal, recorded
from tests.integration.system import GROUPS, System, asks, free_port, new_id, script

pytestmark = pytest.mark.anyio


def gate(name: str) -> dict[str, Any]:
    return asks(("gate", {"name": name}))


GHOST = asks(("ghost", {"name": "x"}))
FAIL = {"fail": {"code": "provider_error", "message": "boom", "retryable": True}}
SCRIPT = script(
    [{"output": "hello"}],
    gated=[gate("g"), {"output": "done"}],
    taken=[gate("taken"), {"output": "done"}],
    second=[gate("second"), {"output": "done"}],
    haunted=[GHOST, {"output": "done"}],
    failing=[FAIL] * 4,
    thinks=[{"delay_s": 1.0, **gate("t")}, {"output": "done"}],
    parent=[asks(("agent.run", {"objective": "offspring"})), {"output": "done"}],
    offspring=[gate("o"), {"output": "grown"}],
    spends=[asks(("gate", {"name": "s"}), ("calc", {"expression": "1"})), {"output": "done"}],
    loops=[asks(("calc", {"expression": "1"}))] * 5,
)


class Cast:
    """Every service on one broker, each of which can be stopped and started again."""

    def __init__(self, url: str, settings: Settings, system: System, client: Client) -> None:
        self.url = url
        self.system = system
        self.client = client
        self.stage = Stage()
        self._settings = settings
        self._running: dict[str, tuple[asyncio.Event, asyncio.Task[None]]] = {}

    async def start(self, *names: str) -> None:
        """Start services."""
        for name in names:
            ready, stop = asyncio.Event(), asyncio.Event()
            self._running[name] = (stop, asyncio.create_task(self._serve(name, stop, ready)))
            async with asyncio.timeout(15):
                await ready.wait()

    async def _serve(self, name: str, stop: asyncio.Event, ready: asyncio.Event) -> None:
        async with await Bus.connect(self.url, name=name) as bus:
            await WHOLE[name](Context(bus, GROUPS, self._settings, stop, ready.set))

    async def stop(self, *names: str) -> None:
        """Stop services."""
        for name in names:
            stop, task = self._running.pop(name)
            stop.set()
            await asyncio.wait_for(task, 15)

    @asynccontextmanager
    async def without(self, *names: str) -> AsyncIterator[None]:
        """Stop services for a while."""
        await self.stop(*names)
        try:
            yield
        finally:
            await self.start(*names)

    async def close(self) -> None:
        """Stop everything."""
        await self.stop(*reversed(list(self._running)))

    async def submit(self, objective: str, **more: Any) -> str:
        """Start a run."""
        return (await self.client.submit(Goal(objective=objective, **more))).run

    async def why(self, name: str) -> list[dict[str, Any]]:
        """Return the chain."""
        return (await self.client.why(name)).chain

    async def first(self, name: str, waiting_for: str) -> dict[str, Any]:
        """Return the first link of a chain when it is what a run waits for, at most five seconds later."""
        async with asyncio.timeout(5):
            while (chain := await self.why(name))[0]["waiting_for"] != waiting_for:  # noqa: ASYNC110 - it is asked
                await asyncio.sleep(0.05)
        return chain[0]

    async def over(self, name: str) -> None:
        """Cancel a run and wait for its end, so that it stands in no other test's way."""
        await self.client.cancel(name)
        await recorded(self.system, ids.tree_of(name), run.Ended, run=name)


@pytest.fixture(scope="module")
async def cast(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cast]:
    data = tmp_path_factory.mktemp("data")
    path = data / "script.json"
    path.write_bytes(wire.encode(SCRIPT))
    async with AsyncExitStack() as stack:
        url = stack.enter_context(empty_broker(tmp_path_factory.mktemp("nats")))
        http = f"127.0.0.1:{free_port()}"
        settings = Settings(nats=url, data=data, model=f"scripted:{path}", http=http)
        bus = await stack.enter_async_context(await Bus.connect(url, name="operator"))
        await layout.provision(bus, GROUPS)
        client = await stack.enter_async_context(Client(f"http://{http}"))
        found = Cast(url, settings, System(bus, GROUPS, settings), client)
        stack.push_async_callback(found.close)
        await found.start(*WHOLE)
        async with found.stage.serve(url, extra="ghost"):
            await found.system.until_admitted("model", "gate", "shaky", "ghost")
        await stack.enter_async_context(found.stage.serve(url, concurrency=1))
        yield found


async def test_a_goal_that_no_planner_takes(cast: Cast) -> None:
    async with cast.without("planner"):
        name = await cast.submit("nobody")
        link = await cast.first(name, "planner")
        assert "waits in the queue since" in link["sentence"]
        assert "no planner takes goals" in link["sentence"]
        assert 0 <= link["since_ms"] - ids.ulid_ms(name) < 5_000
        assert link["advice"].startswith("Start a planner")
        assert (await cast.client.why(name)).status == "queued"
    assert (await cast.system.settled(name)).status == "completed"


async def test_a_call_that_no_guard_decides(cast: Cast) -> None:
    async with cast.without("guard", "ledger"):
        name = await cast.submit("undecided")
        link = await cast.first(name, "guard")
        assert (link["tool"], link["call"]) == ("model", ids.call_id(name, 1, 0))
        assert "no guard lives to decide it" in link["sentence"]
    assert (await cast.system.settled(name)).status == "completed"


async def test_a_tool_without_a_live_executor(cast: Cast) -> None:
    name = await cast.submit("haunted")
    link = await cast.first(name, "executor")
    assert (link["tool"], link["call"], link["executors"]) == ("ghost", ids.call_id(name, 2, 0), 0)
    assert "No executor of ghost lives" in link["sentence"]
    assert link["until_ms"] - link["since_ms"] == pytest.approx(60_000, abs=2_000)
    await cast.over(name)


async def test_a_call_that_runs_and_one_behind_it_that_finds_all_executors_at_work(cast: Cast) -> None:
    first = await cast.submit("taken", id=beside(0))
    await cast.stage.inside("taken")
    link = await cast.first(first, "result")
    assert (link["tool"], link["executors"]) == ("gate", 1)
    assert link["until_ms"] > link["since_ms"] > 0
    second = await cast.submit("second", id=beside(0))
    await recorded(cast.system, second, guard.Granted, number=2)
    link = await cast.first(second, "executor")
    assert (link["tool"], link["executors"], link["detail"]) == ("gate", 1, "saturated")
    assert "the one live executor of gate, at work on 1 call, with 1 in the queue" in link["sentence"]
    cast.stage.open("taken", "second")
    for name in (first, second):
        assert (await cast.system.settled(name)).status == "completed"


def beside(group: int) -> str:
    """Return an id whose journal is a certain one."""
    return next(name for name in iter(new_id, "") if ids.partition(name) % GROUPS == group)


async def test_a_model_that_nobody_serves(cast: Cast) -> None:
    async with cast.without("models"):
        name = await cast.submit("unanswered")
        link = await cast.first(name, "model")
        assert link["executors"] == 0
        assert "No models service lives" in link["sentence"]
    assert (await cast.system.settled(name)).status == "completed"


async def test_a_delay_after_a_failure(cast: Cast) -> None:
    name = await cast.submit("failing")
    deferred = await recorded(cast.system, name, run.Deferred, number=3)
    link = await cast.first(name, "retry_delay")
    assert (link["until_ms"], link["detail"]) == (deferred.event.until_ms, "boom")
    assert "provider_error" in link["sentence"]
    await cast.over(name)


async def test_a_pause_of_ones_own_and_what_is_held(cast: Cast) -> None:
    name = await cast.submit("thinks")
    await recorded(cast.system, name, guard.Granted)
    await cast.client.pause(name, reason="lunch")
    held = await recorded(cast.system, name, guard.Held)
    paused, call = await cast.why(name)
    assert (paused["waiting_for"], paused["detail"]) == ("resume", "lunch")
    assert f"`callboard runs resume {name}`" in paused["advice"]
    assert (call["waiting_for"], call["call"], call["since_ms"]) == ("resume", held.event.calls[0], held.time_ms)
    await cast.over(name)


async def test_a_pause_of_an_ancestor_and_a_sub_agent_down_to_its_leaf(cast: Cast) -> None:
    name = await cast.submit("parent")
    child = ids.call_id(name, 2, 0)
    await cast.stage.inside("o")
    chain = await cast.why(name)
    assert [(link["run"], link["waiting_for"], link["tool"]) for link in chain] == [
        (name, "sub_agent", "agent.run"),
        (child, "result", "gate"),
    ]
    await cast.client.pause(name)
    await recorded(cast.system, name, run.Paused, run=child)
    link = (await cast.why(child))[0]
    assert link["waiting_for"] == "resume"
    assert f"The run {name}, to which it belongs, was paused" in link["sentence"]
    await cast.client.resume(name)
    cast.stage.open("o")
    assert (await cast.system.settled(name)).status == "completed"


async def test_a_result_that_no_planner_takes(cast: Cast) -> None:
    name = await cast.submit("gated")
    await cast.stage.inside("g")
    async with cast.without("planner"):
        cast.stage.open("g")
        link = await cast.first(name, "planner")
        assert (link["tool"], link["call"]) == ("gate", ids.call_id(name, 2, 0))
        assert "no planner lives to take it" in link["sentence"]
    assert (await cast.system.settled(name)).status == "completed"


async def test_a_cancellation_whose_ending_nobody_writes(cast: Cast) -> None:
    name = await cast.submit("haunted")
    await cast.first(name, "executor")
    async with cast.without("planner"):
        await cast.client.cancel(name, reason="enough")
        await recorded(cast.system, name, guard.Cancelled)
        link = (await cast.why(name))[0]
        assert (link["waiting_for"], link["detail"]) == ("planner", "enough")
        assert "It was cancelled" in link["sentence"]
        assert "no planner lives to write its ending" in link["sentence"]
    await recorded(cast.system, name, run.Ended)


async def test_late_results_of_a_run_that_ended(cast: Cast) -> None:
    name = await cast.submit("haunted", limits={"timeout_s": 1})
    closing = await recorded(cast.system, name, guard.Closing)
    ended, late = await cast.why(name)
    assert (ended["waiting_for"], ended["detail"]) == ("nothing", "time_budget")
    assert (late["waiting_for"], late["until_ms"]) == ("late_results", closing.event.until_ms)
    assert late["detail"] == ids.call_id(name, 2, 0)


async def test_a_message_that_could_not_be_handled(cast: Cast) -> None:
    name = await cast.submit("haunted")
    await cast.first(name, "executor")
    where = subjects.Address.of_run("default", name).at("in", "result")
    await cast.system.bus.publish(str(where), b"{}", {wire.ID: "broken"})
    link = await cast.first(name, "operator")
    assert "planner (undecodable)" in link["sentence"]
    assert (link["detail"], wire.type_of(dead.Letter)) == (str(where), "dead.letter.v1")
    assert (await cast.why(name))[1]["waiting_for"] == "executor"
    await cast.over(name)


async def test_a_limit_that_ended_it_and_one_that_refused_a_call(cast: Cast) -> None:
    name = await cast.submit("loops", limits={"max_turns": 1})
    assert (await cast.system.settled(name)).code == "iteration_budget"
    link = (await cast.why(name))[0]
    assert (link["waiting_for"], link["detail"]) == ("nothing", "iteration_budget")
    assert "--max-turns" in link["advice"]
    spends = await cast.submit("spends", limits={"max_calls": 2})
    await cast.stage.inside("s")
    await recorded(cast.system, spends, run.Took, number=2)
    running, refused = await cast.why(spends)
    assert (running["tool"], refused["tool"]) == ("gate", "calc")
    assert "1 call of this turn was refused (call_budget)" in refused["sentence"]
    await cast.over(spends)


async def test_what_there_is_not_is_unknown(cast: Cast) -> None:
    with pytest.raises(CallboardError) as caught:
        await cast.client.why(new_id())
    assert caught.value.code == "unknown_run"
    assert await journal(cast.system, new_id()) == []


async def test_services_that_were_killed_are_known_to_be_dead(fresh_broker: str, tmp_path: Path) -> None:
    """With kill -9 nobody says goodbye: the broker notices, and the gateway answers alone."""
    async with hosting(fresh_broker, tmp_path, SCRIPT, ALL) as (host, _), Client(f"http://{host.http}") as client:
        for process in host.processes:
            if process.name in ("guard", "ledger"):
                await process.stop(signal.SIGKILL)
        name = (await client.submit(Goal(objective="x"))).run
        async with asyncio.timeout(5):
            while (link := (await client.why(name)).chain[0])["waiting_for"] != "guard":  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        assert "no guard lives" in link["sentence"]
        for process in host.processes:
            if process.name in ("planner", "models"):
                await process.stop(signal.SIGKILL)
        queued = (await client.submit(Goal(objective="y"))).run
        assert "no planner takes goals" in (await client.why(queued)).chain[0]["sentence"]
