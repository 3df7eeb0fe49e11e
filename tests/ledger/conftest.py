"""A ledger on a broker of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from callboard.bus import Bus, layout
from callboard.service import Context
from callboard.settings import Settings
from callboard_contracts import ids, subjects
from callboard_services.ledger.serve import serve

KEEP = 30 * 86_400.0


class Ledger(Protocol):
    """What starts a ledger."""

    def __call__(
        self, *, retention_s: float = KEEP, data: str = "data", content: bool = False
    ) -> AbstractAsyncContextManager[None]:
        """Run one until the block ends; `data` names its folder, and traces have `content` if it is wanted."""
        ...


@pytest.fixture
async def bus(fresh_broker: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(fresh_broker, name="test") as bus:
        await layout.provision(bus, 2)
        yield bus


@pytest.fixture
def ledger(fresh_broker: str, tmp_path: Path, bus: Bus) -> Ledger:  # noqa: ARG001 - the streams must be there
    """Start a ledger; its data stays in `tmp_path` between two starts."""

    def running(
        *, retention_s: float = KEEP, data: str = "data", content: bool = False
    ) -> AbstractAsyncContextManager[None]:
        return ledger_at(fresh_broker, tmp_path / data, retention_s=retention_s, content=content)

    return running


@asynccontextmanager
async def ledger_at(url: str, data: Path, *, retention_s: float = KEEP, content: bool = False) -> AsyncIterator[None]:
    """Run a ledger on a broker until the block ends."""
    started, stop = asyncio.Event(), asyncio.Event()
    async with await Bus.connect(url, name="ledger") as own:
        settings = Settings(nats=url, data=data, retention_s=retention_s, trace_content=content)
        task = asyncio.create_task(serve(Context(own, 2, settings, stop, started.set)))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            stop.set()
            await task


async def ask(bus: Bus, question: str, **body: Any) -> dict[str, Any]:
    """Ask the ledger."""
    answer = await bus.request(subjects.ask("default", "ledger", question), msgspec.json.encode(body))
    found: dict[str, Any] = msgspec.json.decode(answer.body)
    return found


def run_id(number: int) -> str:
    """Return the id of a root run."""
    return ids.ulid(1_767_225_600_000 + number, number.to_bytes(10, "big"))
