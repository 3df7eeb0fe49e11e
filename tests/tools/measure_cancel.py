"""How long a cancellation takes from its record to a running handler in another process.

`python -m tests.tools.measure_cancel` prints milliseconds since before the record is published, so the broker's
storing it is included.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from callboard.bus import Bus, Delivery, layout
from callboard.server import start_server
from callboard.server.config import Plan
from callboard.tools import ToolContext, serve_tools, tool
from callboard_contracts import live, wire
from tests.tools.parts import World, durables, until

GROUPS = 2
TIMES = 200


@tool(name="waits", effect="read")
async def waits(context: ToolContext) -> None:
    """Wait, and tell when one was told to stop."""
    context.emit("began")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        context.emit(str(time.time_ns()))
        raise


async def measure(sync: str) -> list[float]:
    """Return the milliseconds of each cancellation, with a broker that syncs so."""
    async with AsyncExitStack() as stack:
        store = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(start_server(Plan(store=store, sync=sync)))
        bus = await stack.enter_async_context(await Bus.connect(server.url, name="measure"))
        await layout.provision(bus, GROUPS)
        await durables(bus, GROUPS, "waits")
        command = (sys.executable, "-m", "tests.tools.measure_cancel", "serve", "--nats", server.url)
        process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
        found = await _measured(bus)
        process.terminate()
        await process.wait()
        return found


async def _measured(bus: Bus) -> list[float]:
    world = World(bus)
    said: dict[str, list[str]] = {}

    def hear(message: Delivery) -> None:
        chunk = wire.decode(message.body, live.Chunk)
        said.setdefault(chunk.call, []).append(chunk.text)

    await bus.subscribe("cb.*.live.*.*.stream.>", hear)
    found = []
    for number in range(TIMES):
        world.new_tree(number % GROUPS, GROUPS)
        call = await world.grant("waits")
        await until(lambda call=call: said.get(call))  # type: ignore[misc]
        before = time.time_ns()
        await world.cancel(world.tree)
        await until(lambda call=call: len(said[call]) == 2)  # type: ignore[misc]
        found.append((int(said[call][1]) - before) / 1e6)
    return found


async def main() -> None:
    """Measure with both ways to sync, and print."""
    for sync in ("always", "100ms"):
        found = sorted(await measure(sync))
        quantiles = statistics.quantiles(found, n=100)
        sys.stdout.write(
            f"sync {sync}: median {quantiles[49]:.2f} ms, p95 {quantiles[94]:.2f}, p99 {quantiles[98]:.2f}\n"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve_tools(waits)
    else:
        asyncio.run(main())
