"""What a measurement needs: a server of one's own, the system with stub executors, and what both used."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from callboard.bus import Bus, layout
from callboard.server import start_server
from callboard.server.config import Plan
from callboard.server.process import Server
from callboard.service import Context, Serve
from callboard.settings import Settings
from callboard_contracts import names
from callboard_services.guard.serve import serve as guard
from callboard_services.ledger.serve import serve as ledger
from callboard_services.planner.serve import serve as planner
from tests.bench.stubs import TOOL, StubExecutor, register

SERVICES: dict[str, Serve] = {"planner": planner, "guard": guard, "ledger": ledger}


@asynccontextmanager
async def system(folder: Path, sync: str, groups: int, rounds: int) -> AsyncIterator[tuple[Server, Bus]]:
    """Run a server, the core services and the stubs in this process; yields the server and a client's bus."""
    async with start_server(Plan(store=folder / "nats", sync=sync)) as server:
        async with await Bus.connect(server.url, name="operator") as operator:
            await layout.provision(operator, groups)
            await register(operator, groups)
        stop = asyncio.Event()
        settings = Settings(nats=server.url, data=folder)
        tasks = [await _start(name, serve, settings, groups, stop) for name, serve in SERVICES.items()]
        buses = [await _stub(server.url, groups, tool, rounds) for tool in (names.MODEL, TOOL)]
        async with await Bus.connect(server.url, name="client") as client:
            yield server, client
        stop.set()
        await asyncio.gather(*tasks)
        for bus in buses:
            await bus.close()


async def _start(name: str, serve: Serve, settings: Settings, groups: int, stop: asyncio.Event) -> asyncio.Task[None]:
    bus = await Bus.connect(settings.nats, name=name)
    ready = asyncio.Event()

    async def work() -> None:
        async with bus:
            await serve(Context(bus, groups, settings, stop, ready.set))

    task = asyncio.create_task(work())
    await asyncio.wait_for(ready.wait(), 10)
    return task


async def _stub(url: str, groups: int, tool: str, rounds: int) -> Bus:
    bus = await Bus.connect(url, name=f"stub-{tool}")
    await StubExecutor(bus, groups, tool, rounds).start()
    return bus


class Used:
    """CPU seconds of this process and of the server, from its making to `stop`."""

    def __init__(self, server: Server) -> None:
        self._pid = server.process.pid
        self._begun = time.perf_counter()
        self._own = time.process_time()
        self._server = self._ticks()

    def _ticks(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> tuple[float, float, float]:
        """Return seconds on the clock, of this process's CPU and of the server's."""
        return time.perf_counter() - self._begun, time.process_time() - self._own, self._ticks() - self._server


async def journal(bus: Bus, groups: int) -> tuple[int, int]:
    """Return how many messages and bytes the journal holds, once nothing more is added: trees close after their end."""
    before, found = (-1, -1), await _stored(bus, groups)
    while found != before:
        await asyncio.sleep(0.3)
        before, found = found, await _stored(bus, groups)
    return found


async def _stored(bus: Bus, groups: int) -> tuple[int, int]:
    states = [(await bus.api(f"STREAM.INFO.{layout.journal(group)}"))["state"] for group in range(groups)]
    return sum(state["messages"] for state in states), sum(state["bytes"] for state in states)
