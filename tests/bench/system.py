"""What is measured, running: a server of its own, the roles in the layout of a profile, and a client's connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec

from callboard.bus import Bus, layout
from callboard.server import start_server
from callboard.server.config import Plan
from callboard.server.process import Server
from callboard.settings import Settings
from callboard_contracts.tool import Spec
from tests.bench import chain, measure, roles, stubs
from tests.bench.workers import Processes, Tasks, Workers

Profile = Literal["embedded", "services"]
What = Literal["callboard", "chain", "floor"]
ROLES: dict[What, tuple[str, ...]] = {"callboard": roles.SYSTEM, "chain": roles.CHAIN, "floor": ()}


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How something is run."""

    what: What
    profile: Profile
    sync: str
    groups: int
    specs: tuple[Spec, ...] = ()
    ack_wait_s: float = layout.ACK_WAIT_S
    apart: bool = False
    """The embedded profile as one process of its own, so that it can be killed."""
    tell: bool = False
    """Executors tell each execution on `bench.executed`."""


class Bench:
    """Something that runs."""

    def __init__(self, server: Server, bus: Bus, setup: Setup, settings: Settings, workers: Workers) -> None:
        self.server = server
        self.bus = bus
        self.setup = setup
        self.settings = settings
        self.workers = workers

    @property
    def pids(self) -> list[int]:
        """The server and every process beside this one."""
        return [self.server.process.pid, *self.workers.pids]

    def meter(self) -> measure.Meter:
        """Begin to count what all processes use."""
        return measure.Meter(self.pids)


@asynccontextmanager
async def running(setup: Setup, folder: Path) -> AsyncIterator[Bench]:
    """Run it until the block ends."""
    store = folder / f"{setup.what}-{setup.profile}-{setup.sync}"
    settings = Settings(data=store, groups=setup.groups, ack_wait_s=setup.ack_wait_s)
    async with (
        start_server(Plan(store=store / "nats", sync=setup.sync)) as server,
        await Bus.connect(server.url, name="client") as bus,
    ):
        await _provision(bus, setup)
        settings = msgspec.structs.replace(settings, nats=server.url)
        workers = _workers(setup, settings)
        try:
            await workers.start()
            yield Bench(server, bus, setup, settings, workers)
        finally:
            await asyncio.shield(workers.stop())


async def _provision(bus: Bus, setup: Setup) -> None:
    if setup.what == "callboard":
        await layout.provision(bus, setup.groups, setup.ack_wait_s)
        await stubs.register(bus, setup.groups, setup.specs, setup.ack_wait_s)
    else:
        await chain.provision(bus, setup.groups, setup.ack_wait_s)


def _workers(setup: Setup, settings: Settings) -> Workers:
    found = ROLES[setup.what]
    if setup.profile == "services":
        return Processes([(role,) for role in found], settings, tell=setup.tell)
    return Processes([found], settings, tell=setup.tell) if setup.apart else Tasks(found, settings)


async def executors(bench: Bench, count: int, role: str, concurrency: int) -> Processes:
    """Start more processes of one role beside what runs."""
    settings = msgspec.structs.replace(bench.settings, concurrency=concurrency)
    found: Sequence[Sequence[str]] = [(role,)] * count
    processes = Processes(found, settings)
    await processes.start()
    return processes
