"""How every service starts, tells that it is ready, and drains: the same in one process with all and in one of its own.

A service is one coroutine `serve(context)`. It calls `context.ready()` when it works, returns soon after
`context.stop` is set, and leaves nothing half-done: what it had not acknowledged is delivered again.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from callboard import collector
from callboard.bus import Bus, BusError, layout
from callboard.logs import configure_logging
from callboard.settings import Settings, from_environment
from callboard_contracts.errors import CallboardError

log = structlog.get_logger()


@dataclass(frozen=True)
class Context:
    """What a service is given."""

    bus: Bus
    groups: int
    settings: Settings
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ready: Callable[[], None] = lambda: None


Serve = Callable[[Context], Awaitable[None]]


async def groups_in_force(bus: Bus, settings: Settings) -> int:
    """Return the number of journal groups, creating the streams that the broker lacks when the user may.

    :raises CallboardError: `broker_refused` when some are missing and may not be created.
    """
    try:
        groups = await layout.discover(bus)
        if groups and not await layout.missing(bus, groups):
            return groups
        return await layout.provision(bus, settings.groups, settings.ack_wait_s, settings.replicas)
    except BusError as error:
        raise CallboardError("broker_refused", f"the streams are missing and cannot be created: {error}") from None


async def run(name: str, serve: Serve, settings: Settings, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Connect, serve until `stop` is set, close.

    :raises CallboardError: the broker cannot be used.
    """
    async with await Bus.connect(settings.nats, name=name) as bus:
        groups = await groups_in_force(bus, settings)
        await serve(Context(bus, groups, settings, stop, ready))


def main(name: str, serve: Serve) -> None:
    """Run one service as a process: `python -m callboard_services.<name> --nats URL`."""
    options = _parser(name).parse_args()
    configure_logging(name)
    try:
        settings = from_environment(**vars(options))
        asyncio.run(_until_signalled(name, serve, settings))
    except CallboardError as error:
        sys.exit(fail(name, error))


def fail(name: str, error: CallboardError) -> int:
    """Tell a person what was wrong and what to do, and return the exit code: 2 when it is theirs to correct."""
    print(f"{name}: {error.entry.title}: {error}\n{error.entry.advice}", file=sys.stderr)
    return 1 if error.entry.then == "bug" else 2


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m callboard_services.{name}")
    parser.add_argument("--nats", help="URL of the broker, with user and password where it wants them")
    parser.add_argument("--data", type=Path, help="folder for what this process keeps")
    parser.add_argument("--model", help="the default model (models service)")
    parser.add_argument("--http", help="host:port to listen on (gateway)")
    parser.add_argument("--concurrency", type=int, help="calls run at once (executors)")
    return parser


def stop_when_told() -> asyncio.Event:
    """Return an event that SIGTERM and Ctrl-C set, from within a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    return stop


async def _until_signalled(name: str, serve: Serve, settings: Settings) -> None:
    stop = stop_when_told()

    def ready() -> None:
        collector.calm()
        print(f"{name} ready", flush=True)

    await run(name, serve, settings, stop, ready)
