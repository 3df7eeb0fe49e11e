"""One process of the benchmark: `python -m tests.bench.worker ROLE...`, until it is told to stop or its parent dies."""

import asyncio
import sys

from callboard import collector
from callboard.logs import configure_logging
from callboard.service import run, stop_when_told
from callboard.settings import from_environment
from tests.bench.roles import ROLES


def main() -> None:
    """Serve all roles that are named."""
    configure_logging(level="warning")
    asyncio.run(_serve(sys.argv[1:]))


async def _serve(roles: list[str]) -> None:
    settings, stop = from_environment(), stop_when_told()
    asyncio.get_running_loop().add_reader(sys.stdin, _on_stdin, stop)
    ready = [asyncio.Event() for _ in roles]
    async with asyncio.TaskGroup() as tasks:
        for role, event in zip(roles, ready, strict=True):
            tasks.create_task(run(role, ROLES[role], settings, stop, event.set))
        for event in ready:
            await event.wait()
        collector.calm()
        sys.stdout.write("ready\n")
        sys.stdout.flush()


def _on_stdin(stop: asyncio.Event) -> None:
    """Nobody writes there: what can be read is its end, when the parent is gone."""
    asyncio.get_running_loop().remove_reader(sys.stdin)
    stop.set()


if __name__ == "__main__":
    main()
