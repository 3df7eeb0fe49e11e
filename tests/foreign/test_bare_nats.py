"""From any process with a NATS client: publish and watch a goal, and serve a tool that joins while the system runs."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callboard.client import Client
from callboard.settings import Settings
from callboard_services.embedded.run import Options
from callboard_services.embedded.run import running as embedded
from tests.conftest import empty_broker
from tests.integration.processes import Process
from tests.integration.system import System, asks, free_port, running, script

pytestmark = pytest.mark.anyio
HERE = Path(__file__).parent
GOAL = '{"objective": "multiply"}'

SCRIPT = script(
    [
        asks(("calc", {"expression": "6*7"}), ("calc", {"expression": "1+1"})),
        asks(("calc", {"expression": "3"})),
        {"output": "42"},
    ],
    weather=[asks(("weather.now", {"town": "Bern"})), {"output": {"$result": 0}}],
)


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    with empty_broker(tmp_path_factory.mktemp("nats")) as url:
        async with running(url, tmp_path_factory.mktemp("data"), SCRIPT) as found:
            yield found


@pytest.mark.parametrize("lossy", [0, 2, 3])
async def test_a_bare_client_sees_every_record_of_its_goal_even_when_live_loses_some(
    system: System, lossy: int
) -> None:
    command = [sys.executable, str(HERE / "watch_goal.py"), system.settings.nats, GOAL, "_", str(lossy)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    records = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0
    runs = [r for r in records if ".run." in r["subject"]]
    kinds = [r["subject"].rsplit(".", 1)[-1] for r in runs]
    assert kinds[0] == "called"
    assert kinds[-1] == "ended"
    asked = [call["id"] for r in runs for e in r["events"] if e["type"] == "run.called.v1" for call in e["calls"]]
    took = [t["call"] for r in runs for e in r["events"] if e["type"] == "run.took.v1" for t in e["results"]]
    assert len(asked) == 6
    assert sorted(took) == sorted(asked)


async def test_a_tool_without_our_packages_is_used_by_the_next_turn(system: System) -> None:
    command = [sys.executable, str(HERE / "weather_tool.py"), system.settings.nats]
    tool = Process("weather", await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))
    await tool.ready()
    try:
        await system.until_admitted("weather.now", timeout_s=2)
        watched = await system.run(objective="weather in Bern")
    finally:
        await tool.stop()
    assert watched.ended.output == "Bern: 21 °C"


async def until_listed(client: Client, name: str) -> None:
    async with asyncio.timeout(2):  # what the README promises
        while not any(tool["name"] == name and tool["instances"] for tool in await client.tools()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_both_join_a_system_whose_broker_gives_each_only_its_own(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(SCRIPT))
    settings = Settings(data=tmp_path / "data", model=f"scripted:{path}", http=f"127.0.0.1:{free_port()}")
    async with embedded(Options(settings=settings)) as found, Client(found.system.http) as client:
        command = [sys.executable, str(HERE / "weather_tool.py"), found.system.nats_tool_url]
        tool = Process("weather", await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))
        await tool.ready()
        try:
            goal = json.dumps({"objective": "weather in Bern"})
            await until_listed(client, "weather.now")
            watching = [sys.executable, str(HERE / "watch_goal.py"), found.system.nats_client_url, goal, "_", "2"]
            watcher = await asyncio.create_subprocess_exec(*watching, stdout=asyncio.subprocess.PIPE)
            out, _ = await asyncio.wait_for(watcher.communicate(), 30)
        finally:
            await tool.stop()
    assert watcher.returncode == 0
    events = [event for line in out.splitlines() for event in json.loads(line)["events"]]
    assert [event["output"] for event in events if event["type"] == "run.ended.v1"] == ["Bern: 21 °C"]
