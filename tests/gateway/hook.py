"""A webhook: a real HTTP server that notes what it is sent, and answers what it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

HANG = 0
"""Instead of a status: never answer."""


class Received(msgspec.Struct):
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Hook:
    """What came. `answers` are used up one by one; the last goes on for ever."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers) or [204]
        self.received: list[Received] = []
        self.url = ""
        self._moved = asyncio.Condition()

    async def had(self, number: int, timeout_s: float = 15) -> list[Received]:
        """Wait for so many requests."""
        async with asyncio.timeout(timeout_s), self._moved:
            await self._moved.wait_for(lambda: len(self.received) >= number)
        return self.received

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and hang up."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        async with self._moved:
            self.received.append(Received(headers, body))
            self._moved.notify_all()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer == HANG:
            await reader.read()
        else:
            there = f"location: {self.url}elsewhere\r\n" if 300 <= answer < 400 else ""
            writer.write(f"HTTP/1.1 {answer} So\r\n{there}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        writer.close()


@asynccontextmanager
async def hook(*answers: int) -> AsyncIterator[Hook]:
    """Run a webhook until the block ends."""
    found = Hook(*answers)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield found
    finally:
        server.close()
