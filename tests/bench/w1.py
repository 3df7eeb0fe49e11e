"""W1: runs of ten rounds, one at a time and a hundred at once, beside the floor: bare JetStream, one publish a step."""

import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import Any

from callboard.bus import Bus, Delivery, layout
from callboard.server import start_server
from callboard.server.config import Plan
from callboard_contracts import ids, subjects, wire
from callboard_contracts.goal import Submit
from callboard_contracts.journal import Record
from callboard_contracts.run import Ended
from tests.bench import measure

ROUNDS = 10
STEPS = 2 * ROUNDS + 1
"""Ten model and ten tool calls, and the model's last word."""
RUN_MESSAGES = 2
"""Stored once a run and not once an activity: its ending, and the closing of its tree."""


class Client:
    """Starts runs and waits for their endings on live."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._ends: dict[str, asyncio.Future[Delivery]] = {}

    async def start(self) -> None:
        """Listen for every ending."""
        await self._bus.subscribe("cb.default.live.*.*.ended", self._on_end)

    def _on_end(self, message: Delivery) -> None:
        future = self._ends.pop(subjects.Live.parse(message.subject).run, None)
        if future is not None:
            future.set_result(message)

    async def run(self) -> float:
        """Make one run and return its seconds from submission to result."""
        goal = ids.ulid(int(time.time() * 1000), os.urandom(10))
        self._ends[goal] = future = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        await self._bus.publish("cb.default.goal._", wire.encode(Submit(id=goal, objective="bench")), {wire.ID: goal})
        record = wire.decode((await asyncio.wait_for(future, 60)).body, Record)
        ended = record.events[-1]
        if not isinstance(ended, Ended) or ended.status != "completed":
            raise RuntimeError(f"a run did not complete: {ended}")
        return time.perf_counter() - begun


async def work(folder: Path, sync: str, groups: int, runs: int, at_once: int) -> dict[str, Any]:
    """Measure the system with every message synced, or synced each interval."""
    async with measure.system(folder, sync, groups, ROUNDS) as (server, bus):
        client = Client(bus)
        await client.start()
        alone = sorted([await client.run() for _ in range(min(100, runs))])
        before = await measure.journal(bus, groups)
        used = measure.Used(server)
        limit = asyncio.Semaphore(at_once)

        async def one() -> None:
            async with limit:
                await client.run()

        await asyncio.gather(*(one() for _ in range(runs)))
        seconds, own, server_cpu = used.stop()
        after = await measure.journal(bus, groups)
    steps = runs * STEPS
    return {
        "sync": sync,
        "p50_ms": round(statistics.median(alone) * 1000, 2),
        "p99_ms": round(alone[int(len(alone) * 0.99) - 1] * 1000, 2),
        "steps_per_s": round(steps / seconds),
        "cpu_s_per_1000_steps": round((own + server_cpu) / steps * 1000, 3),
        "messages_per_activity": round((after[0] - before[0] - runs * RUN_MESSAGES) / steps, 3),
        "bytes_per_step": round((after[1] - before[1]) / steps),
    }


async def floor(folder: Path, sync: str, groups: int, runs: int, at_once: int) -> dict[str, Any]:
    """Measure bare JetStream: each step is one awaited, fenced publish of a result's size."""
    async with (
        start_server(Plan(store=folder / "floor", sync=sync)) as server,
        await Bus.connect(server.url, name="floor") as bus,
    ):
        await layout.provision(bus, groups)
        alone = sorted([await _bare(bus) for _ in range(min(100, runs))])
        used = measure.Used(server)
        limit = asyncio.Semaphore(at_once)

        async def one() -> None:
            async with limit:
                await _bare(bus)

        await asyncio.gather(*(one() for _ in range(runs)))
        seconds, own, server_cpu = used.stop()
    steps = runs * STEPS
    return {
        "sync": sync,
        "p50_ms": round(statistics.median(alone) * 1000, 2),
        "steps_per_s": round(steps / seconds),
        "cpu_s_per_1000_steps": round((own + server_cpu) / steps * 1000, 3),
    }


async def _bare(bus: Bus) -> float:
    run = ids.ulid(int(time.time() * 1000), os.urandom(10))
    address = subjects.Address.of_run("default", run)
    begun, prev = time.perf_counter(), 0
    for step in range(STEPS):
        headers = {wire.ID: f"{run}-{step}", wire.FENCE: str(prev), wire.FENCE_SUBJECT: address.fence}
        body = b"x" * (1000 if step % 2 else 200)
        prev = (await bus.publish(str(address.at("log", "step")), body, headers)).seq
    return time.perf_counter() - begun
