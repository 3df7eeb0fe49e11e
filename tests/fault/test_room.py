"""The broker's disk is full, as the broker itself would tell: it is started again at its address once there is room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callboard.bus import Bus
from callboard.server import Server, room, start_server
from callboard.server.config import Plan

pytestmark = pytest.mark.anyio
FULL = """HTTP/1.0 503 Service Unavailable\r\n\r\n{"status":"unavailable","errors":[{"type":"STREAM","stream":"GOALS",
"error":"write error: write 1.blk: no space left on device"}]}"""
SLOW = """HTTP/1.0 503 Service Unavailable\r\n\r\n{"status":"unavailable","error":"JetStream is not current"}"""


@asynccontextmanager
async def told(words: str) -> AsyncIterator[str]:
    """Serve what a server says of its health."""

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words.encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(tell, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def unwell(server: Server, words: str) -> asyncio.subprocess.Process:
    """Let a server be looked after while its health is told by another, until it is told by itself or for a second."""
    before = server.process
    async with told(words) as url:
        server.monitoring = url
        for _ in range(100):
            await asyncio.sleep(0.01)
            if server.monitoring != url:
                break
    return before


async def test_a_server_whose_disk_was_full_is_started_again_at_its_address_with_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "EVERY_S", 0.02)
    async with start_server(Plan(store=tmp_path / "nats")) as server, await Bus.connect(server.url, name="test") as bus:
        await bus.api("STREAM.CREATE.A", {"name": "A", "subjects": ["a"]})
        await bus.publish("a", b"1")
        url = server.url
        before = await unwell(server, FULL)
        assert (before.returncode, server.process.returncode, server.url) == (0, None, url)
        async with asyncio.timeout(10):
            while not bus.connected:  # noqa: ASYNC110 - it tells by being asked
                await asyncio.sleep(0.05)
        assert (await bus.publish("a", b"2", timeout_s=10)).seq == 2


async def test_nothing_is_done_while_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EVERY_S", 0.02)
    monkeypatch.setattr(room, "has_room", lambda _: False)
    async with start_server(Plan(store=tmp_path / "nats")) as server:
        assert await unwell(server, FULL) is server.process
        assert server.process.returncode is None


async def test_what_is_wrong_for_another_reason_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EVERY_S", 0.02)
    async with start_server(Plan(store=tmp_path / "nats")) as server:
        assert await unwell(server, SLOW) is server.process
        assert server.process.returncode is None
