"""Tools in processes of their own: started later, started twice, written without this SDK."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from callboard.bus import Bus, layout
from callboard.bus.registry import Registry
from callboard_contracts.call import Completed, Failed
from callboard_services.tools.registrar import Registrar
from tests.tools.conftest import GROUPS
from tests.tools.parts import Processes, World, eventually, until

pytestmark = pytest.mark.usefixtures("registrar")

SLEEPER = """
import asyncio, os
from callboard.tools import serve_tools, tool

@tool(name="sleeper", effect="pure")
async def sleeper() -> int:
    "Sleep five milliseconds and tell who did."
    await asyncio.sleep(0.005)
    return os.getpid()

serve_tools(sleeper)
"""

BARE = """
import asyncio, json, os, time
import nats
from nats.errors import TimeoutError
from nats.micro import add_service

SPEC = {
    "type": "tool.spec.v1", "name": "bare.add", "version": "1.0.0", "description": "Add two numbers.",
    "input_schema": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                     "required": ["a", "b"], "additionalProperties": False},
    "output_schema": {"type": "number"}, "effect": "pure",
}

async def pull(js, stream):
    while True:  # the registrar creates the durable
        try:
            sub = await js.pull_subscribe_bind("tool-bare-add", stream)
            for message in await sub.fetch(1, timeout=1):
                grant = next(e for e in json.loads(message.data)["events"] if e["type"] == "guard.granted.v1")
                call, (_, tenant, _, p, tree, *_) = grant["call"], message.subject.split(".")
                run = call["id"].rsplit("-", 2)[0]
                body = {"type": "call.completed.v1", "call": call["id"],
                        "output": call["arguments"]["a"] + call["arguments"]["b"]}
                await js.publish(f"cb.{tenant}.run.{p}.{tree}.{run}.in.result", json.dumps(body).encode(),
                                 headers={"ce-id": call["id"], "ce-type": body["type"]})
                await message.ack()
        except (TimeoutError, nats.js.errors.NotFoundError, nats.js.errors.ServiceUnavailableError):
            await asyncio.sleep(0.05)

async def main():
    nc = await nats.connect(os.environ["CALLBOARD_NATS"])
    await add_service(nc, name="bare-add", version="1.0.0", description=SPEC["description"],
                      metadata={"callboard.tool": json.dumps(SPEC)})
    await asyncio.gather(*(pull(nc.jetstream(), f"JOURNAL-{group}") for group in range(2)))

asyncio.run(main())
"""


@pytest.fixture
async def registrar(bus: Bus) -> AsyncIterator[None]:
    task = asyncio.create_task(Registrar(bus, GROUPS).run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def registry(bus: Bus) -> AsyncIterator[Registry]:
    registry = Registry(bus)
    await registry.start()
    yield registry
    await registry.stop()


async def test_a_second_process_takes_its_share(world: World, registry: Registry, processes: Processes) -> None:
    processes.start(SLEEPER)
    processes.start(SLEEPER)
    await until(lambda: (entry := registry.facts.tools.get("sleeper")) and entry.instances == 2)
    await eventually(lambda: _both_pull(world))
    calls = [await world.grant("sleeper") for _ in range(200)]
    results = [await world.result(call) for call in calls]
    by = [result.output for result in results if isinstance(result, Completed)]
    assert len(by) == 200
    assert min(by.count(pid) for pid in set(by)) >= 50
    assert len(set(by)) == 2


async def _both_pull(world: World) -> bool:
    stream = layout.journal_of(world.tree, GROUPS)
    info = await world.bus.api(f"CONSUMER.INFO.{stream}.tool-sleeper")
    return int(info["num_waiting"]) == 2


async def test_a_tool_that_starts_later_is_usable_within_two_seconds(
    world: World, registry: Registry, processes: Processes
) -> None:
    process = processes.start(SLEEPER + "\n")
    began = time.monotonic()
    await until(lambda: registry.facts.spec("sleeper"))
    assert time.monotonic() - began < 2 + _import_time()
    assert isinstance(await world.result(await world.grant("sleeper")), Completed)
    process.terminate()
    assert process.wait(10) == 0
    await until(lambda: registry.facts.tools["sleeper"].instances == 0)


def _import_time() -> float:
    """What a Python process needs on this machine before its first line can run: not the system's doing."""
    import subprocess
    import sys

    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import callboard.tools"], check=True)
    return time.monotonic() - began


async def test_a_tool_in_bare_nats_py_works_by_the_published_rules(
    world: World, registry: Registry, processes: Processes
) -> None:
    processes.start(BARE)
    spec = await until(lambda: registry.facts.spec("bare.add"))
    assert spec.description == "Add two numbers."
    result = await world.result(await world.grant("bare.add", {"a": 1, "b": 2.5}))
    assert isinstance(result, Completed)
    assert result.output == 3.5


async def test_a_tool_that_cannot_be_used_is_in_the_registry_with_its_reason(
    registry: Registry, processes: Processes
) -> None:
    bad = BARE.replace('"type": "object"', '"type": "objekt"')
    processes.start(bad)
    entry = await until(lambda: registry.facts.tools.get("bare.add"))
    assert not entry.admitted
    assert "input_schema" in entry.problem
    assert registry.facts.spec("bare.add") is None


async def test_a_tool_that_is_started_again_with_another_description_is_known_by_the_new_one(
    registry: Registry, processes: Processes
) -> None:
    first = processes.start(SLEEPER)
    await until(lambda: registry.facts.spec("sleeper"))
    processes.start(SLEEPER.replace("five milliseconds", "a little"))
    await until(lambda: "a little" in registry.facts.tools["sleeper"].spec.description)
    first.terminate()
    await until(lambda: registry.facts.tools["sleeper"].instances == 1)
    assert "a little" in registry.facts.tools["sleeper"].spec.description


async def test_a_tool_without_a_broker_says_so_and_leaves(processes: Processes) -> None:
    process = processes.start(SLEEPER, CALLBOARD_NATS="nats://tool:secret@127.0.0.1:9")
    _, text = process.communicate(timeout=15)
    assert process.returncode == 1
    assert b"The NATS server cannot be reached: nats://127.0.0.1:9" in text
    assert b"secret" not in text
    assert b"Traceback" not in text


async def test_the_service_is_ready_when_its_built_in_tools_are_admitted(bus: Bus, world: World) -> None:
    from callboard.service import Context
    from callboard.settings import Settings
    from callboard_services.tools.serve import serve

    ready = asyncio.Event()
    context = Context(bus, GROUPS, Settings(), ready=ready.set)
    task = asyncio.create_task(serve(context))
    async with asyncio.timeout(10):
        await ready.wait()
    result = await world.result(await world.grant("calc", {"expression": "1.1 * 3"}))
    assert isinstance(result, Completed)
    assert json.dumps(result.output) == '{"value": 3.3, "text": "3.3", "exact": true}'
    wrong = await world.result(await world.grant("calc", {"expression": "a"}))
    assert isinstance(wrong, Failed)
    context.stop.set()
    await task
