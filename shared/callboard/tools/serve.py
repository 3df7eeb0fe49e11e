"""Serving tools: as a process of one's own in one line, or inside a service."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence

import structlog

from callboard.bus import Bus, BusError, hide_password, layout
from callboard.discovery import tool_url
from callboard.logs import configure_logging
from callboard.service import Context, stop_when_told
from callboard.settings import Settings, from_environment
from callboard.tools import apart
from callboard.tools.executor import serving
from callboard.tools.tool import Tool
from callboard_contracts.errors import CallboardError

log = structlog.get_logger()

_LOOK_S = 0.5


async def serve(context: Context, tools: Sequence[Tool]) -> None:
    """Serve tools as a service, until it is told to stop."""
    settings = context.settings
    async with serving(
        context.bus, context.groups, tools, concurrency=settings.concurrency, ack_wait_s=settings.ack_wait_s
    ):
        context.ready()
        await context.stop.wait()


def serve_tools(*tools: Tool, nats: str | None = None, concurrency: int = 8) -> None:
    """Serve tools from this process until SIGTERM or Ctrl-C; then finish what runs and give back the rest.

    In the process of one call of a tool with `process=True` it does nothing, so that a script may end with it.

    The broker is `nats`, else the flag `--nats`, else CALLBOARD_NATS, else the system that runs on this machine.
    """
    if apart.one_call_only:
        return
    configure_logging("tools")
    try:
        url = tool_url(nats or _flag())
        asyncio.run(_until_signalled(tools, from_environment(nats=url, concurrency=concurrency)))
    except CallboardError as error:
        sys.exit(f"{error.entry.title}: {error}\n{error.entry.advice}")


def _flag() -> str:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--nats", default="")
    return str(parser.parse_known_args()[0].nats)


async def _until_signalled(tools: Sequence[Tool], settings: Settings) -> None:
    stop = stop_when_told()
    async with await Bus.connect(settings.nats, name="tools") as bus:
        groups = await _groups(bus, stop)
        if groups:
            log.info("serving", tools=[tool.spec.name for tool in tools], nats=hide_password(settings.nats))
            await serve(Context(bus, groups, settings, stop), tools)


async def _groups(bus: Bus, stop: asyncio.Event) -> int:
    """Return the number of journals, waiting for a system that is still starting; 0 when stopped meanwhile."""
    told = False
    while not stop.is_set():
        with contextlib.suppress(BusError):
            if groups := await layout.discover(bus):
                return groups
        if not told:
            log.warning("waiting: this broker has no Callboard system yet")
            told = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
    return 0
