"""A provisioned broker of the test's own, and the other parts of the system as the test plays them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from callboard.bus import Bus, layout
from callboard.tools import Tool, serving
from tests.tools.parts import Processes, World, durables

GROUPS = 2


@pytest.fixture
async def bus(fresh_broker: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(fresh_broker, name="test") as bus:
        await layout.provision(bus, GROUPS)
        yield bus


@pytest.fixture
async def world(bus: Bus) -> World:
    return await World(bus).listen()


class Serve(Protocol):
    async def __call__(self, *tools: Tool, concurrency: int = 8, ack_wait_s: float = 30.0) -> None: ...


@pytest.fixture
async def serve(bus: Bus) -> AsyncIterator[Serve]:
    """Serve tools in this process, with their durables, until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(*tools: Tool, concurrency: int = 8, ack_wait_s: float = 30.0) -> None:
            await durables(bus, GROUPS, *(tool.spec.name for tool in tools), ack_wait_s=ack_wait_s)
            await stack.enter_async_context(serving(bus, GROUPS, tools, concurrency=concurrency, ack_wait_s=ack_wait_s))

        yield start


@pytest.fixture
def processes(tmp_path: Path, fresh_broker: str) -> Iterator[Processes]:
    running = Processes(tmp_path, fresh_broker)
    yield running
    running.stop()
