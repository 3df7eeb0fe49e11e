"""Executors that a test starts, with a crash point or none, and what a run took of their tools."""

import asyncio

from callboard.bus.registry import Registry
from callboard.testing.openai_server import OpenAIServer
from callboard_contracts import guard, names, run
from tests.fault.counting import Counting
from tests.fault.harmful import TOOLS
from tests.fault.house import House
from tests.integration.processes import Process
from tests.tools.parts import eventually, pending, until

FAKE = "openai/fake"


class Asker:
    """The models service, with a provider that counts in place of the script."""

    def __init__(self, house: House, provider: OpenAIServer) -> None:
        self._house = house
        self.provider = provider

    async def start(self, crash_at: str = "") -> Process:
        """Start one, and wait until its model is known."""
        program = ("-m", "callboard_services.models", "--nats", self._house.host.url, "--model", FAKE)
        environment = {"OPENAI_BASE_URL": self.provider.url, "OPENAI_API_KEY": "sk-test"}
        process = await self._house.host.start("asker", program=program, crash_at=crash_at, environment=environment)
        registry = Registry(self._house.bus)
        await registry.start()
        await until(
            lambda: (spec := registry.facts.spec(names.MODEL)) and FAKE in [model.name for model in spec.models]
        )
        await registry.stop()
        return process


class Executor:
    """The process of the harmful tools."""

    def __init__(self, house: House, outside: Counting) -> None:
        self.house = house
        self._outside = outside

    async def start(self, *, crash_at: str = "", concurrency: int = 1) -> Process:
        """Start one, and wait until its tools are admitted."""
        environment = {"COUNTER": self._outside.url, "CONCURRENCY": str(concurrency)}
        program = ("-m", "tests.fault.harmful")
        process = await self.house.host.start("harmful", program=program, crash_at=crash_at, environment=environment)
        await self.house.system.until_admitted(*(tool.spec.name for tool in TOOLS))
        return process


async def taken(house: House, goal: str, tool: str) -> list[run.Taken]:
    """Return what the run took of a tool, each call once, when every invariant holds and nothing is left to do."""
    records = await house.sound()
    await eventually(lambda: _nothing_pending(house, tool))
    events = [event for one in records if one.run == goal for event in one.record.events]
    found = [one for event in events if isinstance(event, run.Took) for one in event.results if one.tool == tool]
    assert len({one.call for one in found}) == len(found)
    return found


async def _nothing_pending(house: House, tool: str) -> bool:
    return await pending(house.bus, house.system.groups, tool) == 0


async def granted(house: House, goal: str, tool: str) -> str:
    """Wait until a call of a tool is granted to a run, and return it."""

    async def found() -> list[str]:
        events = [event for one in await house.records() if one.run == goal for event in one.record.events]
        return [one.call.id for one in events if isinstance(one, guard.Granted) and one.call.tool == tool]

    async with asyncio.timeout(10):
        while not (calls := await found()):  # noqa: ASYNC110 - the journal tells by being asked
            await asyncio.sleep(0.05)
    return calls[0]
