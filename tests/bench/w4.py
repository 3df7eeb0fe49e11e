"""W4: from the broker's timestamp of a record until a subscriber in another process has it.

The broker takes that time just before it writes, so what is measured holds the write and its sync as well: never less
than the delivery alone. Both times are of one machine's one clock. Runs are made one at a time.
"""

import msgspec

from tests.bench import measure
from tests.bench.listener import HEARD
from tests.bench.runners import runner
from tests.bench.system import Bench, executors

RUNS = 50
_ROUNDS = 3


async def w4(bench: Bench, runs: int) -> dict[str, float]:
    """Measure every record of some runs."""
    listener = await executors(bench, 1, "listener", 1)
    try:
        found = await runner(bench)
        for _ in range(runs):
            await found.run(_ROUNDS)
        heard = msgspec.json.decode((await bench.bus.request(HEARD, b"")).body, type=list[float])
    finally:
        await listener.stop()
    return {
        "delivery_p50_ms": measure.quantile(heard, 0.5),
        "delivery_p99_ms": measure.quantile(heard, 0.99),
        "records": len(heard),
    }
