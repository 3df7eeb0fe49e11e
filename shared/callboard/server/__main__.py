"""The broker alone, with a user for every service: `python -m callboard.server --data DIR`.

For services that run as processes of their own. It provisions the streams, writes each user's URL into
`<data>/urls/<user>` (readable by their owner alone), makes the system known to the command line, and says when it is
ready.
"""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from callboard.bus import Bus, layout
from callboard.bus.users import OPERATOR, users
from callboard.discovery import System, announce, described, withdraw
from callboard.logs import configure_logging
from callboard.server import FolderLock, Server, marks, passwords, start_server
from callboard.server.config import Plan
from callboard.service import fail, stop_when_told
from callboard.settings import Settings, from_environment
from callboard_contracts.errors import CallboardError


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m callboard.server")
    parser.add_argument("--data", type=Path, help="folder for streams, passwords and URLs")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=4222, help="where to listen; 0: any free port")
    parser.add_argument("--sync", default="always", help="`always`, or an interval such as 2m")
    parser.add_argument("--accept-loss", action="store_true", help="go on though stored records are gone")
    parser.add_argument("--http", help="where the gateway will listen, for those who look for it")
    options = parser.parse_args()
    configure_logging("server")
    try:
        settings = from_environment(data=options.data, http=options.http)
        asyncio.run(_serve(settings, options))
    except CallboardError as error:
        sys.exit(fail("server", error))


async def _serve(settings: Settings, options: argparse.Namespace) -> None:
    stop = stop_when_told()
    with FolderLock(settings.data) as lock:
        names = [user.name for user in users()]
        plan = Plan(
            store=settings.data / "nats",
            host=options.host,
            port=options.port,
            sync=options.sync,
            passwords=passwords(settings.data, names),
            tenant=settings.tenant,
        )
        async with start_server(plan, inherit=lock.handle) as server, AsyncExitStack() as stack:
            url = server.url_of(OPERATOR)
            keeping = marks.keeping(url, settings.data, accept_loss=options.accept_loss, alone=False)
            await stack.enter_async_context(keeping)
            async with await Bus.connect(url, name=OPERATOR) as bus:
                await layout.provision(bus, settings.groups, settings.ack_wait_s)
            system = _told(settings, server, names)
            print("server ready", flush=True)
            await stop.wait()
            withdraw(system)


def _told(settings: Settings, server: Server, names: list[str]) -> System:
    """Write down how each user connects, and that the system is here."""
    folder = settings.data / "urls"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(server.url_of(name))
    system = described(settings, server.url_of)
    announce(system)
    return system


if __name__ == "__main__":
    main()
