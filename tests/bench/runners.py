"""How a run is made of each thing that is measured. A run of N rounds is N model and N tool calls and a last word."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Protocol

from callboard.bus import Bus, Delivery
from callboard_contracts import ids, subjects, wire
from callboard_contracts.goal import Limits, Submit
from callboard_contracts.journal import Record
from callboard_contracts.run import Ended
from tests.bench import chain
from tests.bench.system import Bench

WAIT_S = 120
PLENTY = Limits(
    max_turns=1000, max_calls=100_000, max_runs=10_000, max_tokens=10**9, budget_micro_usd=10**9, timeout_s=86_400
)


def steps(rounds: int) -> int:
    """Return the stored results of a run."""
    return 2 * rounds + 1


class Runner(Protocol):
    """Makes runs, and says how long each took in seconds."""

    async def start(self) -> None:
        """Listen for what it must hear."""

    async def run(self, rounds: int) -> float:
        """Make one run."""

    async def fan(self, children: int) -> float:
        """Make a run that spawns sub-agents of one round each and gathers them."""


class Callboard:
    """Publishes goals and hears their endings on live, as any process may."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._ends: dict[str, asyncio.Future[Delivery]] = {}

    async def start(self) -> None:
        """Listen for every ending."""
        await self._bus.subscribe("cb.default.live.*.*.ended", self._on_end)

    def _on_end(self, message: Delivery) -> None:
        future = self._ends.pop(subjects.Live.parse(message.subject).run, None)
        if future is not None and not future.done():
            future.set_result(message)

    async def run(self, rounds: int) -> float:
        """Make one run."""
        return await self.goal(f"rounds-{rounds}")

    async def fan(self, children: int) -> float:
        """Make a run that spawns sub-agents."""
        return await self.goal(f"fan-{children}")

    async def goal(self, model: str, *, goal: str = "") -> float:
        """Make the run that a stub model makes of a goal."""
        goal = goal or new_id()
        future = asyncio.get_running_loop().create_future()
        self._ends[goal] = future
        begun = time.perf_counter()
        await self.submit(goal, model)
        ended = wire.decode((await asyncio.wait_for(future, WAIT_S)).body, Record).events[-1]
        if not isinstance(ended, Ended) or ended.status != "completed":
            raise RuntimeError(f"a run did not complete: {ended}")
        return time.perf_counter() - begun

    async def submit(self, goal: str, model: str) -> None:
        """Publish a goal and wait until it is stored. Its trace follows from its id."""
        body = wire.encode(Submit(id=goal, objective="bench", model=model, limits=PLENTY))
        await self._bus.publish("cb.default.goal._", body, {wire.ID: goal}, timeout_s=WAIT_S)


class _Steps:
    """What is made of steps alone."""

    async def steps(self, count: int) -> None:
        """Make steps one after the other."""
        raise NotImplementedError

    async def run(self, rounds: int) -> float:
        """Make one run."""
        begun = time.perf_counter()
        await self.steps(steps(rounds))
        return time.perf_counter() - begun

    async def fan(self, children: int) -> float:
        """Make a first step, then three for each child, all children at once, then a last step."""
        begun = time.perf_counter()
        await self.steps(1)
        await asyncio.gather(*(self.steps(steps(1)) for _ in range(children)))
        await self.steps(1)
        return time.perf_counter() - begun


class Chain(_Steps):
    """Publishes goals to the chain, and hears its endings in the same way."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._ends: dict[str, asyncio.Future[None]] = {}

    async def start(self) -> None:
        """Listen for every ending."""
        await self._bus.subscribe("cb.default.live.*.*.ended", self._on_end)

    def _on_end(self, message: Delivery) -> None:
        future = self._ends.pop(message.subject.split(".", 5)[4], None)
        if future is not None and not future.done():
            future.set_result(None)

    async def steps(self, count: int) -> None:
        """Make a run of so many steps."""
        goal = new_id()
        future = asyncio.get_running_loop().create_future()
        self._ends[goal] = future
        await self._bus.publish("cb.default.goal._", goal.encode(), {chain.LEFT: str(count)}, timeout_s=WAIT_S)
        await asyncio.wait_for(future, WAIT_S)


class Floor(_Steps):
    """Bare JetStream: a step is one awaited, fenced publish of a result's size."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def start(self) -> None:
        """Nothing has to be heard."""

    async def steps(self, count: int) -> None:
        """Publish so many results of one run."""
        run, prev = new_id(), 0
        address = subjects.Address.of_run("default", run)
        subject = str(address.at("log", "step"))
        for step in range(count):
            headers = {wire.ID: f"{run}-{step}", wire.FENCE: str(prev), wire.FENCE_SUBJECT: address.fence}
            body = chain.TOOL_RESULT if step % 2 else chain.MODEL_RESULT
            prev = (await self._bus.publish(subject, body, headers, timeout_s=WAIT_S)).seq


_KINDS: dict[str, Callable[[Bus], Runner]] = {"callboard": Callboard, "chain": Chain, "floor": Floor}


async def runner(bench: Bench) -> Runner:
    """Return the runner of what runs, listening."""
    found = _KINDS[bench.setup.what](bench.bus)
    await found.start()
    return found


def new_id() -> str:
    """Return a fresh goal id."""
    return ids.ulid(int(time.time() * 1000), os.urandom(10))
