"""W1: runs of ten rounds, one at a time and many at once."""

import asyncio

from tests.bench import measure
from tests.bench.runners import Runner, runner, steps
from tests.bench.system import Bench

ROUNDS = 10
ALONE = 100
AT_ONCE = 100
_WARM = 5
_RUN_MESSAGES = {"callboard": 2, "chain": 1, "floor": 0}
"""Stored once a run and not once an activity: its ending, and the closing of its tree."""


async def w1(bench: Bench, runs: int) -> dict[str, float]:
    """Measure latency and throughput."""
    found = await runner(bench)
    for _ in range(min(_WARM, runs)):
        await found.run(ROUNDS)
    alone = [await found.run(ROUNDS) for _ in range(min(ALONE, runs))]
    return {
        "p50_ms": measure.quantile(alone, 0.5) * 1000,
        "p99_ms": measure.quantile(alone, 0.99) * 1000,
        **await _at_once(bench, found, runs),
    }


async def _at_once(bench: Bench, found: Runner, runs: int) -> dict[str, float]:
    groups, store = bench.setup.groups, bench.server.plan.store
    before, disk = await measure.stored(bench.bus, groups), measure.disk_bytes(store)
    limit = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with limit:
            await found.run(ROUNDS)

    meter = bench.meter()
    await asyncio.gather(*(one() for _ in range(runs)))
    used = meter.stop()
    memory = measure.rss_mib_of_all(bench.pids)
    after, count = await measure.stored(bench.bus, groups), runs * steps(ROUNDS)
    return {
        "steps_per_s": count / used.seconds,
        "cpu_s_per_1000_steps": used.cpu_s / count * 1000,
        "memory_mib": memory,
        "messages_per_activity": (after.messages - before.messages - runs * _RUN_MESSAGES[bench.setup.what]) / count,
        "bytes_per_step": (after.bytes - before.bytes) / count,
        "disk_bytes_per_step": (measure.disk_bytes(store) - disk) / count,
    }
