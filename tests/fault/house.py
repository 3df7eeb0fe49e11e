"""A whole system of real processes to do harm to: a broker that can be killed, a load of goals, and the verdict."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from callboard.bus import Bus, BusError, layout, reader
from callboard.server import Server, start_server
from callboard.server.config import Plan
from callboard_contracts import wire
from callboard_contracts.dead import Letter
from callboard_contracts.goal import Submit
from tests.fault import invariants
from tests.integration.processes import ALL, Host, Process, hosting
from tests.integration.system import System, asks, free_port, new_id, script

CALLS = 6
"""What a run of `WORK` asks for: three answers of the model, three of the calculator."""
WORK = script(
    [
        asks(("calc", {"expression": "1+1"})),
        asks(("calc", {"expression": "2+2"}), ("calc", {"expression": "3+3"})),
        {"output": "done"},
    ]
)


class Broker:
    """A server on a port of its own, that can die and come back with what it had stored."""

    def __init__(self, store: Path, *, sync: str = "always") -> None:
        self.plan = Plan(store=store, port=free_port(), sync=sync)
        self.url = f"nats://127.0.0.1:{self.plan.port}"
        self._stack = AsyncExitStack()
        self._server: Server | None = None

    async def start(self) -> None:
        """Start it, or start it again."""
        self._server = await self._stack.enter_async_context(start_server(self.plan))

    async def kill(self) -> None:
        """Kill it as `kill -9` does."""
        assert self._server is not None
        self._server.process.kill()
        await self._server.process.wait()
        await self._stack.aclose()

    async def close(self) -> None:
        """Stop it in order."""
        await self._stack.aclose()


@asynccontextmanager
async def breakable(store: Path) -> AsyncIterator[Broker]:
    """Run a broker that the block may kill and start again."""
    broker = Broker(store)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.close()


class House:
    """The system, and what was promised to those who gave it goals."""

    def __init__(self, host: Host, system: System) -> None:
        self.host = host
        self.system = system
        self.accepted: list[str] = []
        """Goals that the broker or the gateway acknowledged."""
        self.refused = 0

    @property
    def bus(self) -> Bus:
        """A connection of the test's own."""
        return self.system.bus

    def process(self, name: str) -> Process:
        """Return the last process of a service."""
        return next(one for one in reversed(self.host.processes) if one.name == name)

    async def goal(self, objective: str = "work", **more: Any) -> str:
        """Publish a goal, as often as it takes."""
        goal = Submit(id=new_id(), objective=objective, **more)
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(BusError):
                    await self.system.publish(goal)
                    self.accepted.append(goal.id)
                    return goal.id
                await asyncio.sleep(0.1)

    async def goals(self, count: int, **more: Any) -> list[str]:
        """Publish several goals at once."""
        return list(await asyncio.gather(*(self.goal(**more) for _ in range(count))))

    async def post_for(self, seconds: float, *, pause_s: float = 0.05) -> None:
        """Post goals to the gateway, one after the other, and note those that were answered with 202."""
        until = asyncio.get_running_loop().time() + seconds
        async with httpx.AsyncClient(base_url=f"http://{self.host.http}", timeout=10) as client:
            while asyncio.get_running_loop().time() < until:
                try:
                    answer = await client.post("/v1/goals", json={"objective": "work"})
                except httpx.TransportError:
                    self.refused += 1
                else:
                    if answer.status_code == 202:
                        self.accepted.append(answer.json()["run"])
                    else:
                        assert answer.status_code == 503, answer.text
                        self.refused += 1
                await asyncio.sleep(pause_s)

    async def all_ended(self, *, timeout_s: float = 60) -> None:
        """Wait until every accepted goal has ended, and every tree is closed."""
        missing: set[str] = set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while missing := set(self.accepted) - await self._ended():  # noqa: ASYNC110 - the journal tells by being asked
                    await asyncio.sleep(0.2)
        assert not missing, f"{len(missing)} of {len(self.accepted)} goals have not ended: {sorted(missing)[:3]}"

    async def _ended(self) -> set[str]:
        try:
            return await invariants.ended(self.bus, self.system.groups)
        except BusError:
            return set()

    async def sound(self, *, timeout_s: float = 60) -> list[invariants.Stored]:
        """Wait for the end of everything, and assert that every invariant holds."""
        await self.all_ended(timeout_s=timeout_s)
        async with asyncio.timeout(30):
            while await self._undelivered():  # noqa: ASYNC110 - the broker tells by being asked
                await asyncio.sleep(0.1)
            while invariants.open_trees(records := await self.records()):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.2)
        wrong = invariants.violations(records, self.accepted)
        assert not wrong, "\n".join(wrong[:20])
        return records

    async def _undelivered(self) -> int:
        """Return how many inputs of planner and guard are not acknowledged: what a crash left comes again first."""
        journals = [layout.journal(group) for group in range(self.system.groups)]
        durables = [f"{journal}.{name}" for journal in journals for name in ("planner", "guard")]
        infos = [await self.bus.api(f"CONSUMER.INFO.{durable}") for durable in (f"{layout.GOALS}.planner", *durables)]
        return sum(info["num_pending"] + info["num_ack_pending"] for info in infos)

    async def records(self) -> list[invariants.Stored]:
        """Return every record there is now."""
        return await invariants.stored(self.bus, self.system.groups)

    async def letters(self) -> list[Letter]:
        """Return every dead letter."""
        found = reader.scan(self.bus, layout.DEAD, "cb.*.dead.*")
        return [wire.decode(message.body, Letter) async for message in found]


def priced(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the scripted model cost something, so that a second charge would show."""
    prices = data / "prices.json"
    prices.write_text(json.dumps({f"scripted:{data / 'script.json'}": {"input": 1.5, "output": 6.0}}))
    monkeypatch.setenv("CALLBOARD_PRICES", str(prices))


@asynccontextmanager
async def living(
    url: str,
    data: Path,
    *,
    script: Any = WORK,
    services: Iterable[str] = ALL,
    ways: Mapping[str, str] | None = None,
    environments: Mapping[str, Mapping[str, str]] | None = None,
) -> AsyncIterator[House]:
    """Run services as processes: see `hosting`."""
    async with hosting(url, data, script, services, ways=ways, environments=environments) as (host, system):
        yield House(host, system)
