"""A subscriber that does not read: the broker cuts it off, and nobody else notices."""

import asyncio
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from callboard.bus import Bus
from callboard.server import start_server
from callboard.server.config import Plan
from tests.fault.house import WORK
from tests.integration.system import running

pytestmark = pytest.mark.anyio
FLOOD = 300


async def test_a_live_subscriber_that_never_reads_delays_no_run(tmp_path: Path) -> None:
    async with start_server(Plan(store=tmp_path / "nats", sync="2m")) as server:
        with deaf(server.url) as client:
            async with running(server.url, tmp_path, WORK) as system, await Bus.connect(server.url, name="x") as flood:
                before = await timed(system.run(objective="work"))
                for _ in range(FLOOD):
                    flood.send("cb.default.live.a.b.stream.c", b"x" * 1_000_000)
                    await flood.flush()
                after = await timed(system.run(objective="work"))
                assert after < before + 1.0
                watched = await system.run(objective="work")
                assert watched.ended.output == "done"
                await asyncio.to_thread(cut_off, client)


async def timed(work: object) -> float:
    """Return how long something takes, in seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await work  # type: ignore[misc]
    return loop.time() - began


def deaf(url: str) -> socket.socket:
    """Return a client that subscribes to everything live and reads nothing."""
    parts = urlsplit(url)
    client = socket.create_connection((str(parts.hostname), int(parts.port or 0)))
    client.sendall(b'CONNECT {"verbose":false}\r\nSUB cb.default.live.> 1\r\nPING\r\n')
    return client


def cut_off(client: socket.socket) -> None:
    """Read what is left, far less than what was sent, to the end that the broker made."""
    client.settimeout(15)
    read = 0
    try:
        while piece := client.recv(1 << 20):
            read += len(piece)
    except ConnectionResetError:
        pass
    assert read < FLOOD * 1_000_000 / 2
