"""A TCP proxy between one service and the broker that delays, holds back, swallows and resets, each way by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["pass", "hold", "swallow"]
"""`hold` is a cut cable: TCP delivers when it is whole again. `swallow` loses bytes: reset before you pass again."""


class Lane:
    """One direction. `delay_s` is of each piece of up to 64 KiB, in order."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.bytes_per_s = 0
        """What all connections together may carry; 0: as much as comes."""
        self.carried = 0
        self.swallowed = 0
        self._free_at = 0.0
        """When the line has carried what was given to it."""
        self._mode: Mode = "pass"
        self._changed = asyncio.Event()

    @property
    def mode(self) -> Mode:
        """What happens to what comes."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes until one end is gone."""
        while piece := await reader.read(65_536):
            await asyncio.sleep(self.delay_s + self._on_the_line(len(piece)))
            while self._mode == "hold":
                self._changed.clear()
                await self._changed.wait()
            if self._mode == "swallow":
                self.swallowed += len(piece)
                continue
            self.carried += len(piece)
            writer.write(piece)
            await writer.drain()

    def _on_the_line(self, count: int) -> float:
        """Return how long it takes until so many bytes more are through, in seconds."""
        if not self.bytes_per_s:
            return 0.0
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + count / self.bytes_per_s
        return self._free_at - now


class Proxy:
    """Listens for clients of one broker. `there` is the way to the broker, `back` the way from it."""

    def __init__(self, host: str, port: int) -> None:
        self.there = Lane()
        self.back = Lane()
        self.url = ""
        self.connections = 0
        """How many there have been."""
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()

    def reset(self) -> None:
        """Cut every connection at once; clients may come again."""
        for writer in tuple(self._open):
            writer.transport.abort()

    def drop(self, dice: Random, part: float) -> None:
        """Cut each connection with a probability; those who lost one may come again."""
        for writer in tuple(self._clients):
            if dice.random() < part:
                writer.transport.abort()

    def cut(self) -> None:
        """Let nothing through, either way, and tell nobody."""
        self.there.mode = self.back.mode = "hold"

    def heal(self) -> None:
        """Let everything through again, on new connections: what was swallowed is lost for good."""
        self.there.mode = self.back.mode = "pass"
        self.reset()

    async def on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either end is gone."""
        self.connections += 1
        self._open.add(writer)
        self._clients.add(writer)
        with contextlib.suppress(OSError):
            broker, to_broker = await asyncio.open_connection(*self._target)
            self._open.add(to_broker)
            lanes = {
                asyncio.create_task(self.there.carry(reader, to_broker)),
                asyncio.create_task(self.back.carry(broker, writer)),
            }
            await asyncio.wait(lanes, return_when=asyncio.FIRST_COMPLETED)
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            self._open.discard(to_broker)
            to_broker.transport.abort()
        self._open.discard(writer)
        self._clients.discard(writer)
        writer.transport.abort()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy before a broker; its `url` takes the place of the broker's."""
    parts = urlsplit(url)
    proxy = Proxy(str(parts.hostname), int(parts.port or 4222))
    server = await asyncio.start_server(proxy.on_client, "127.0.0.1", 0)
    proxy.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.reset()
        await asyncio.sleep(0)
