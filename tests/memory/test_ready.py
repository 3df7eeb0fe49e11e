"""Nobody waits for tables that need not be there, and a memory is ready only when it answers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callboard import service
from callboard.bus import Bus, layout
from callboard.service import Context
from callboard.settings import Settings
from callboard_contracts import memory
from callboard_services.memory import lance, parts, preferences, serve
from callboard_services.memory.house import Memory
from tests.memory.kit import GROUPS, Words, ask, fact, remembering

ANN = preferences.Whose(principal="ann")
SAID = preferences.Preferring(principal="ann", text="Answer in French.")
LOADING_S = 1.0


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """LanceDB as it is in a new process: it takes a second to load, once."""
    load, loaded = lance._library, list[Any]()

    def loading() -> Any:
        if not loaded:
            time.sleep(LOADING_S)
            loaded.append(load())
        return loaded[0]

    async def words(_: str) -> Words:
        return Words()

    monkeypatch.setattr(lance, "_library", loading)
    monkeypatch.setattr(serve, "open_embedder", words)


@asynccontextmanager
async def closed(url: str, data: Path) -> AsyncIterator[Memory]:
    """A memory whose tables nobody opens."""
    async with await Bus.connect(url, name="memory") as bus:
        await layout.provision(bus, GROUPS)
        yield parts.furnished(Context(bus, GROUPS, Settings(nats=url, data=data)), Words())


@asynccontextmanager
async def served(url: str, data: Path) -> AsyncIterator[Bus]:
    """Run the service and wait until it is ready."""
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = Settings(nats=url, data=data)
    running = asyncio.create_task(service.run("memory", serve.serve, settings, stop, ready.set))
    async with await Bus.connect(url, name="test") as bus:
        async with asyncio.timeout(20):
            await ready.wait()
        yield bus
        stop.set()
        await running


@pytest.mark.usefixtures("slow")
async def test_a_memory_is_ready_only_when_it_answers(fresh_broker: str, tmp_path: Path) -> None:
    async with closed(fresh_broker, tmp_path) as house:
        origin = memory.Origin(scope="user", owner="ann", trust="person", at_ms=1)
        said = memory.Remembered(id="a", kind="preference", text="Answer in French.", origin=origin)
        await house.writer.remember("default", said)
    async with served(fresh_broker, tmp_path) as bus:
        began = time.monotonic()
        assert (await ask(bus, "default", "preferences", principal="ann"))["lines"] == ["Answer in French."]
        assert time.monotonic() - began < LOADING_S / 2


@pytest.mark.usefixtures("slow")
async def test_a_preference_is_answered_when_the_next_run_is_told(fresh_broker: str, tmp_path: Path) -> None:
    async with remembering(fresh_broker, tmp_path) as house:
        await preferences.prefer(house, "default", SAID)
        async with asyncio.timeout(LOADING_S / 2):
            assert (await preferences.of(house, "default", ANN))["lines"] == ["Answer in French."]


async def test_whoever_prefers_nothing_needs_no_tables_whatever_else_is_remembered(
    fresh_broker: str, tmp_path: Path
) -> None:
    async with closed(fresh_broker, tmp_path) as house:
        await house.writer.remember("default", fact("a", "Nobody opens the tables."))
        async with asyncio.timeout(1):
            assert await preferences.of(house, "default", ANN) == {"rows": [], "lines": []}
