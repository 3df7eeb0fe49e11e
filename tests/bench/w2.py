"""W2: a parent spawns sub-agents, each with a model call, a tool call and a last word, and gathers them."""

from tests.bench import measure
from tests.bench.runners import runner
from tests.bench.system import Bench

CHILDREN = 100
REPEATS = 10


async def w2(bench: Bench, children: int, repeats: int) -> dict[str, float]:
    """Measure how long it takes, after one that warms up."""
    found = await runner(bench)
    await found.fan(children)
    return {"fan_ms": measure.quantile([await found.fan(children) for _ in range(repeats)], 0.5) * 1000}
