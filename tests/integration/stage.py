"""A stage for control: tools that a test lets go on or fail as it likes, and what a tree's journal says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from callboard.bus import Bus, reader
from callboard.client import Client
from callboard.service import Serve
from callboard.tools import ToolContext, ToolError, serving, tool
from callboard_contracts import ids, subjects, wire
from callboard_contracts.journal import Record
from callboard_services.approval.serve import serve as approval
from callboard_services.gateway.serve import serve as gateway
from callboard_services.ledger.serve import serve as ledger
from tests.integration.system import CORE, GROUPS, System

DOORS: dict[str, Serve] = {"ledger": ledger, "gateway": gateway}
WHOLE = CORE | {"approval": approval} | DOORS


class Stage:
    """What the tools `gate` and `shaky` do, and who called them."""

    def __init__(self) -> None:
        self.entered: Counter[str] = Counter()
        self.calls: list[str] = []
        self.failing: set[str] = set()
        """Names with which `shaky` fails."""
        self._open: dict[str, asyncio.Event] = {}
        self._moved = asyncio.Condition()

    def open(self, *names: str) -> None:
        """Let calls of `gate` with these names answer."""
        for name in names:
            self._gate(name).set()

    def _gate(self, name: str) -> asyncio.Event:
        return self._open.setdefault(name, asyncio.Event())

    async def inside(self, name: str, number: int = 1) -> None:
        """Wait until so many calls with a name are running or have run."""
        async with asyncio.timeout(15), self._moved:
            await self._moved.wait_for(lambda: self.entered[name] >= number)

    async def _enter(self, name: str, call: str) -> None:
        async with self._moved:
            self.entered[name] += 1
            self.calls.append(call)
            self._moved.notify_all()

    @asynccontextmanager
    async def serve(self, url: str, *, concurrency: int = 8, extra: str = "") -> AsyncIterator[None]:
        """Serve the tools from a connection of their own. `extra` is one more like `shaky`, by another name."""

        @tool(effect="pure", timeout_s=60)
        async def gate(context: ToolContext, name: str) -> str:
            """Wait until somebody opens the gate."""
            await self._enter(name, context.call)
            await self._gate(name).wait()
            return name

        @tool(effect="pure", timeout_s=60)
        async def shaky(context: ToolContext, name: str) -> str:
            """Fail, or do not."""
            await self._enter(name, context.call)
            if name in self.failing:
                raise ToolError(f"{name} shook")
            return f"{name} held"

        more = [tool(name=extra)(shaky.function)] if extra and shaky.function else []
        async with (
            await Bus.connect(url, name="tool") as bus,
            serving(bus, GROUPS, [gate, shaky, *more], concurrency=concurrency),
        ):
            yield


class Seen(msgspec.Struct, frozen=True):
    """An event as the journal has it."""

    seq: int
    time_ms: int
    run: str
    event: Any
    """One of `journal.Event`."""


async def journal(system: System, tree: str) -> list[Seen]:
    """Return everything that was recorded in a tree."""
    found: list[Seen] = []
    stream = f"JOURNAL-{ids.partition(tree) % system.groups}"
    async for message in reader.scan(system.bus, stream, subjects.records_of_tree("default", tree)):
        about = subjects.Subject.parse(message.stored_subject).address.run
        events = wire.decode(message.body, Record).events
        found += [Seen(message.seq, message.time_ms, about, event) for event in events]
    return found


async def recorded(system: System, tree: str, type_: type, *, run: str = "", number: int = 1) -> Seen:
    """Wait until a tree has so many events of a type, of one run or any, and return the last one of them."""
    async with asyncio.timeout(15):
        while True:
            found = [seen for seen in await journal(system, tree) if isinstance(seen.event, type_)]
            found = [seen for seen in found if not run or seen.run == run]
            if len(found) >= number:
                return found[number - 1]
            await asyncio.sleep(0.02)


def client_of(system: System) -> Client:
    """Return a client of the system's gateway."""
    return Client(f"http://{system.settings.http}")
