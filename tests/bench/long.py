"""What takes long, and is measured on request: memory after many small runs, and one run beside many parked ones."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable

from callboard_contracts import call
from tests.bench import measure
from tests.bench.runners import WAIT_S, Callboard, new_id
from tests.bench.system import Bench

_AT_ONCE = 200
_REST_S = 300.0
WOKEN_S = call.TIMEOUT_S + 20
"""A run is woken once after this time at most, by the deadline of the model call it began with, and sets its next."""


async def memory(bench: Bench, few: int, many: int, woken_s: float) -> dict[str, float]:
    """Return the size of this process, which is the whole system, after few and after many runs of one round.

    It is looked at when nothing is left to do: what the ledger has still before it is work, not what runs leave behind.
    """
    found = Callboard(bench.bus)
    await found.start()
    await _runs(found, few)
    after_few = await _size(bench, woken_s)
    await _runs(found, many - few)
    after_many = await _size(bench, woken_s)
    return {
        "mib_after_few": after_few,
        "mib_after_many": after_many,
        "growth": after_many / after_few,
        "server_mib": measure.rss_mib(bench.server.process.pid),
    }


async def _size(bench: Bench, woken_s: float) -> float:
    await _rest(bench, woken_s)
    gc.collect()
    return measure.rss_mib(os.getpid())


async def _rest(bench: Bench, woken_s: float) -> float:
    """Wait until every timer that is due soon has come and nothing is left to do; return how long that took."""
    await asyncio.sleep(woken_s)
    return woken_s + await measure.quiet([bench.server.process.pid], _REST_S)


async def _runs(found: Callboard, count: int) -> None:
    await _side_by_side(count, lambda: found.run(1))


async def _side_by_side(count: int, one: Callable[[], Awaitable[object]]) -> None:
    """Do something so often, by a few tasks in a loop: a task for each would be most of what is measured."""
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


async def parked(bench: Bench, count: int, probes: int, woken_s: float) -> dict[str, float]:
    """Return the latency of one run alone, and beside many that wait for a tool that never answers.

    What parking them left to do, such as the ledger's rows, is done before: the question is what waiting costs.
    """
    found = Callboard(bench.bus)
    await found.start()
    await found.run(10)
    alone = [await found.run(10) for _ in range(probes)]
    await _park(bench, found, count)
    at_rest_s = await _rest(bench, woken_s)
    beside = [await found.run(10) for _ in range(probes)]
    before, after = measure.quantile(alone, 0.5), measure.quantile(beside, 0.5)
    return {"alone_ms": before * 1000, "beside_ms": after * 1000, "slower": after / before, "at_rest_s": at_rest_s}


async def _park(bench: Bench, found: Callboard, count: int) -> None:
    """Return when each of so many runs has been granted its call of the tool that never answers."""
    granted: dict[str, asyncio.Event] = {}

    async def one() -> None:
        run = new_id()
        granted[run] = asyncio.Event()
        await found.submit(run, "never-1")
        await asyncio.wait_for(granted[run].wait(), WAIT_S)
        del granted[run]

    stop = await bench.bus.subscribe(
        "cb.default.live.*.*.call.never", lambda message: granted[message.subject.split(".", 5)[4]].set()
    )
    await _side_by_side(count, one)
    await stop()
