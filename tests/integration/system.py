"""Services in this process over a broker, and a client that publishes goals and watches a tree to its end."""

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from callboard.bus import Bus, BusError, Delivery, layout, reader
from callboard.bus.registry import Registry
from callboard.service import Context, Serve
from callboard.settings import Settings
from callboard_contracts import guard as guard_
from callboard_contracts import ids, names, run, subjects, wire
from callboard_contracts.goal import Submit
from callboard_contracts.journal import Event, Record
from callboard_services.guard.serve import serve as guard
from callboard_services.models.serve import serve as models
from callboard_services.planner.serve import serve as planner
from callboard_services.tools.serve import serve as tools

CORE: dict[str, Serve] = {"tools": tools, "planner": planner, "guard": guard, "models": models}
GROUPS = 2


def new_id() -> str:
    """Return a fresh goal id."""
    return ids.ulid(int(time.time() * 1000), os.urandom(10))


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def running(
    url: str,
    data: Path,
    script: Any = None,
    services: Mapping[str, Serve] = CORE,
    *,
    model: str = "",
    http: str = "127.0.0.1:0",
) -> AsyncIterator["System"]:
    """Run services against a broker, with a scripted model unless another is named, until the block ends."""
    path = data / "script.json"
    path.write_text(json.dumps(script))
    settings = Settings(nats=url, data=data, model=model or f"scripted:{path}", http=http)
    async with await Bus.connect(url, name="operator") as operator:
        groups = await layout.provision(operator, GROUPS)
        stop = asyncio.Event()
        tasks = [await _started(name, serve, settings, groups, stop) for name, serve in services.items()]
        client = await Bus.connect(url, name="client")
        system = System(client, groups, settings)
        try:
            await system.start()
            yield system
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 20)
            await client.close()


async def _started(name: str, serve: Serve, settings: Settings, groups: int, stop: asyncio.Event) -> asyncio.Task[None]:
    ready = asyncio.Event()

    async def work() -> None:
        async with await Bus.connect(settings.nats, name=name) as bus:
            await serve(Context(bus, groups, settings, stop, ready.set))

    task = asyncio.create_task(work())
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, timeout=15, return_when=asyncio.FIRST_COMPLETED)
    if not ready.is_set():
        await task
        raise TimeoutError(f"{name} did not become ready")
    return task


class Watched(msgspec.Struct):
    """What a subscriber saw of a tree."""

    tree: str
    records: list[tuple[int, str, Record]] = []
    """Sequence, journal subject, record."""

    def events(self, type_: type[Event], name: str = "") -> list[Any]:
        """Return the events of a type, of one run or of all."""
        found = [(s, e) for _, s, r in self.records for e in r.events if isinstance(e, type_)]
        return [event for subject, event in found if not name or subject.split(".")[5] == name]

    @property
    def ended(self) -> run.Ended:
        """The root's ending."""
        found: list[run.Ended] = self.events(run.Ended, self.tree)
        return found[-1]


class System:
    """A client of the running services."""

    def __init__(self, bus: Bus, groups: int, settings: Settings) -> None:
        self.bus = bus
        self.groups = groups
        self.settings = settings
        self._trees: dict[str, tuple[Watched, asyncio.Event]] = {}

    async def start(self) -> None:
        """Listen to everything, and wait until the model is admitted."""
        await self.bus.subscribe("cb.*.live.>", self._on_live)
        await self.until_admitted(names.MODEL)

    async def until_admitted(self, *tools: str, timeout_s: float = 10) -> None:
        """Wait until tools are in the registry."""
        registry = Registry(self.bus)
        changed = asyncio.Event()
        registry.changed.append(lambda _: changed.set())
        await registry.start()
        async with asyncio.timeout(timeout_s):
            while any((entry := registry.facts.tools.get(tool)) is None or not entry.instances for tool in tools):
                await changed.wait()
                changed.clear()
        await registry.stop()

    def _on_live(self, message: Delivery) -> None:
        live = subjects.Live.parse(message.subject)
        known = self._trees.get(live.tree)
        if known is None or live.kind.startswith("stream."):
            return
        watched, done = known
        record = wire.decode(message.body, Record)
        watched.records.append((message.seq, message.stored_subject, record))
        if live.run == live.tree and live.kind in ("ended", "refused"):
            done.set()

    async def publish(self, goal: Submit, *, tenant: str = "default", skill: str = names.ADHOC) -> None:
        """Publish a goal as any process may."""
        await self.bus.publish(str(subjects.Goal(tenant, skill)), wire.encode(goal), {wire.ID: goal.id})

    def watch(self, tree: str) -> Watched:
        """Begin to watch a tree."""
        watched = Watched(tree)
        self._trees[tree] = (watched, asyncio.Event())
        return watched

    async def ended(self, tree: str, timeout_s: float = 20) -> Watched:
        """Wait for a tree's end."""
        watched, done = self._trees[tree]
        async with asyncio.timeout(timeout_s):
            await done.wait()
        return watched

    async def closed(self, watched: Watched, timeout_s: float = 10) -> int:
        """Wait until the guard has closed a tree, and return the sequence of that record."""
        async with asyncio.timeout(timeout_s):
            while True:
                for seq, _, record in watched.records:
                    if any(isinstance(event, guard_.Closed) and event.run == watched.tree for event in record.events):
                        return seq
                await asyncio.sleep(0.02)

    async def settled(self, name: str, timeout_s: float = 20) -> run.Ended:
        """Wait for a run's end as the journal has it, however much live lost."""
        address = subjects.Address.of_run("default", name)
        stream = layout.journal_of(address.tree, self.groups)
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(BusError):
                    found = await reader.last(self.bus, stream, address.fence)
                    last = wire.decode(found.body, Record).events[-1] if found else None
                    if isinstance(last, run.Ended):
                        return last
                await asyncio.sleep(0.1)

    async def run(
        self, *, skill: str = names.ADHOC, tenant: str = "default", timeout_s: float = 20, **goal: Any
    ) -> Watched:
        """Publish a goal and watch it to its end."""
        submit = Submit(id=new_id(), **goal)
        self.watch(submit.id)
        await self.publish(submit, tenant=tenant, skill=skill)
        return await self.ended(submit.id, timeout_s)


def asks(*calls: tuple[str, Any]) -> dict[str, Any]:
    """Return a scripted step that asks for tools."""
    return {"asks": [{"tool": tool, "arguments": arguments} for tool, arguments in calls]}


def script(steps: Sequence[Any] = (), **runs: Sequence[Any]) -> dict[str, Any]:
    """Return a script: steps of every run, or of runs whose objective holds a word."""
    return {"runs": [{"match": match, "steps": list(each)} for match, each in runs.items()], "steps": list(steps)}


Check = Callable[[Watched], None]
