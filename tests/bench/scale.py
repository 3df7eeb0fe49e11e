"""Scale: executor processes from one to four, serving a tool that takes 50 ms, four calls at once in each process."""

import asyncio
import time

from tests.bench.runners import Callboard
from tests.bench.system import Bench, executors

CONCURRENCY = 4
CALLS = 10
"""A run's."""
_RUNS_AT_ONCE = 48
"""Far more than all processes can run, so that each always has something to do."""


async def scale(bench: Bench, processes: int, runs: int) -> float:
    """Return the calls a second that so many processes do."""
    found = Callboard(bench.bus)
    await found.start()
    workers = await executors(bench, processes, "slow", CONCURRENCY)
    try:
        await found.goal("slow-1")
        limit = asyncio.Semaphore(_RUNS_AT_ONCE)

        async def one() -> None:
            async with limit:
                await found.goal(f"slow-{CALLS}")

        begun = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(runs)))
        return runs * CALLS / (time.perf_counter() - begun)
    finally:
        await workers.stop()
