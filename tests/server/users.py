"""A real server with every user, and a connection of each."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from callboard.bus import Bus, layout
from callboard.bus.users import users
from callboard.server import passwords, start_server
from callboard.server.config import Plan

GROUPS = 2
TENANT = "default"


@asynccontextmanager
async def everyone(data: Path) -> AsyncIterator[dict[str, Bus]]:
    """Run a provisioned server with users; yield a connection by user, and `""`: somebody without credentials."""
    secrets = passwords(data, [user.name for user in users()])
    plan = Plan(store=data / "nats", sync="2m", passwords=secrets)
    async with start_server(plan) as server, AsyncExitStack() as stack:
        found = {}
        for user in users():
            bus = await Bus.connect(server.url_of(user.name), name=user.name)
            found[user.name] = await stack.enter_async_context(bus)
        found[""] = await stack.enter_async_context(await Bus.connect(server.url, name="anybody"))
        await layout.provision(found["operator"], GROUPS)
        yield found
