"""Memory dies at every named point of remembering and forgetting: what was asked for is done, and once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from callboard.bus import Bus, layout, reader
from callboard_contracts import ids, memory, run, subjects, wire
from callboard_contracts.goal import Submit
from tests.conftest import empty_broker
from tests.integration.processes import CRASHED, Host, hosting
from tests.integration.system import System, asks, new_id, script
from tests.memory.kit import ask

pytestmark = pytest.mark.anyio

SCRIPT = script(
    remembers=[asks(("memory.remember", {"text": "Nordwind pays within 14 days"})), {"output": "done"}],
    forgets=[asks(("memory.forget", {"about": "nordwind 14"})), {"output": "done"}],
    recalls=[asks(("memory.recall", {"query": "Nordwind"})), {"output": "done"}],
)
REMEMBERING = (
    "executor.before_effect",
    "memory.before_write",
    "memory.after_write",
    "executor.after_effect",
    "executor.before_result",
    "executor.after_result",
    "memory.before_commit",
    "memory.after_commit",
)
FORGETTING = ("memory.after_erase", "executor.after_effect", "executor.before_result")
USUAL = ("memory.after_write",)


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Host, System, Bus]]:
    """Everything but memory, which each case starts itself."""
    folder = tmp_path_factory.mktemp("memory")
    with empty_broker(folder / "nats") as url:
        services = ("tools", "guard", "planner", "models")
        async with (
            hosting(url, folder, SCRIPT, services) as (host, system),
            await Bus.connect(url, name="gateway") as bus,
        ):
            yield host, system, bus


def _case(point: str) -> Any:
    return pytest.param(point, marks=() if point in USUAL else (pytest.mark.slow,))


async def facts(bus: Bus, tenant: str) -> list[memory.Remembered | memory.Forgotten]:
    """Return what stands in the stream for facts, tombstones too."""
    every = reader.scan(bus, layout.MEMORY, subjects.memory(tenant, "fact", ">"))
    return [wire.decode(message.body, memory.Remembered | memory.Forgotten) async for message in every]


async def goal(system: System, objective: str, tenant: str) -> tuple[str, asyncio.Task[Any]]:
    """Begin a run, and return what waits for its end."""
    submit = Submit(id=new_id(), objective=objective)
    system.watch(submit.id)
    await system.publish(submit, tenant=tenant)
    return submit.id, asyncio.create_task(system.ended(submit.id, 60))


@pytest.mark.parametrize("point", [_case(point) for point in REMEMBERING])
async def test_a_fact_is_remembered_once_wherever_its_process_dies(
    up: tuple[Host, System, Bus], tenant: str, point: str
) -> None:
    host, system, bus = up
    dying = await host.start("memory", crash_at=point)
    await system.until_admitted("memory.remember", timeout_s=30)
    name, ended = await goal(system, "remembers", tenant)
    assert await dying.ended(60) == CRASHED
    living = await host.start("memory")
    watched = await ended
    results = [one for event in watched.events(run.Took) for one in event.results if one.tool == "memory.remember"]
    assert [one.status for one in results] == ["completed"]
    assert [said.id for said in await facts(bus, tenant)] == [ids.call_id(name, 2, 0)]
    found = (await ask(bus, tenant, "recall", kinds=["fact"]))["found"]
    assert [hit["id"] for hit in found] == [ids.call_id(name, 2, 0)]
    assert await living.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("point", FORGETTING)
async def test_a_fact_is_forgotten_wherever_the_process_dies_that_forgets_it(
    up: tuple[Host, System, Bus], tenant: str, point: str
) -> None:
    host, system, bus = up
    first = await host.start("memory")
    await system.until_admitted("memory.remember", timeout_s=30)
    _, ended = await goal(system, "remembers", tenant)
    await ended
    assert await first.stop() == 0
    dying = await host.start("memory", crash_at=point)
    _, ended = await goal(system, "forgets", tenant)
    assert await dying.ended(60) == CRASHED
    living = await host.start("memory")
    await ended
    assert [type(said) for said in await facts(bus, tenant)] == [memory.Forgotten]
    assert (await ask(bus, tenant, "recall", kinds=["fact"]))["found"] == []
    assert await living.stop() == 0


@pytest.mark.slow
async def test_a_second_process_on_the_same_folder_takes_over_when_the_first_is_killed(
    up: tuple[Host, System, Bus], tenant: str
) -> None:
    host, system, bus = up
    first = await host.start("memory")
    await system.until_admitted("memory.remember", timeout_s=30)
    _, ended = await goal(system, "remembers", tenant)
    await ended
    second = await host.start("memory")
    assert len((await ask(bus, tenant, "recall", kinds=["fact"]))["found"]) == 1
    await first.stop(signal.SIGKILL)
    watched = await (await goal(system, "recalls", tenant))[1]
    assert [one.status for e in watched.events(run.Took) for one in e.results] == ["completed"] * 3
    assert await second.stop() == 0
