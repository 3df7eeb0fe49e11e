"""The service: an executor for the built-in tools, and the registrar."""

import asyncio

from callboard.service import Context
from callboard.tools import serving
from callboard_services.tools.builtin import TOOLS
from callboard_services.tools.registrar import Registrar


async def serve(context: Context) -> None:
    """Serve until told to stop; ready once every built-in tool is admitted."""
    settings = context.settings
    async with (
        serving(context.bus, context.groups, TOOLS, concurrency=settings.concurrency, ack_wait_s=settings.ack_wait_s),
        asyncio.TaskGroup() as tasks,
    ):
        registrar = Registrar(context.bus, context.groups, ack_wait_s=settings.ack_wait_s)
        watching = tasks.create_task(registrar.run())
        ready = tasks.create_task(_tell_when_admitted(context, registrar))
        await context.stop.wait()
        watching.cancel()
        ready.cancel()


async def _tell_when_admitted(context: Context, registrar: Registrar) -> None:
    await registrar.admitted(tuple(tool.spec.name for tool in TOOLS))
    context.ready()
