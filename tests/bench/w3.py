"""W3: many runs at once, every worker killed when half of the steps are done, and started again at once.

What must hold is read from the journal afterwards: each call was proposed, granted and taken once, and has its result.
"""

import asyncio
import signal
import time
from collections import Counter

import msgspec

from callboard.bus import Delivery, layout, reader
from callboard_contracts import guard, run, wire
from callboard_contracts.journal import Record
from tests.bench import stubs
from tests.bench.runners import runner, steps
from tests.bench.system import Bench
from tests.bench.workers import Processes

RUNS = 200
ROUNDS = 10
ACK_WAIT_S = 2.0


class Executions:
    """Counts what executors tell, and says when it is half of what is to be done."""

    def __init__(self, half: int) -> None:
        self.counts: Counter[bytes] = Counter()
        self.half = asyncio.Event()
        self._half = half

    def on_told(self, message: Delivery) -> None:
        """Count one execution."""
        self.counts[message.body] += 1
        if len(self.counts) == self._half:
            self.half.set()

    @property
    def again(self) -> int:
        """How many executions were not the first of their call."""
        return self.counts.total() - len(self.counts)


async def w3(bench: Bench, runs: int) -> dict[str, float]:
    """Measure how long it takes from the kill until all runs are complete, and what became of their steps."""
    if not isinstance(bench.workers, Processes):
        raise TypeError("only processes can be killed")
    found = await runner(bench)
    executions = Executions(runs * steps(ROUNDS) // 2)
    await bench.bus.subscribe(stubs.EXECUTED, executions.on_told)
    going = [asyncio.create_task(found.run(ROUNDS)) for _ in range(runs)]
    await executions.half.wait()
    killed = time.perf_counter()
    await bench.workers.signal(signal.SIGKILL)
    in_flight = await _in_flight(bench)
    await bench.workers.start()
    started = time.perf_counter()
    await asyncio.gather(*going)
    ended = time.perf_counter()
    told: dict[str, float] = {"complete_s": ended - killed, "of_which_start_s": started - killed}
    if bench.setup.what != "callboard":
        return told  # nobody there notices what it did before
    told |= {"in_flight": in_flight, "executed_again": executions.again}
    return told | await audit(bench, runs * steps(ROUNDS))


async def _in_flight(bench: Bench) -> int:
    """Return the calls that are granted and not acknowledged: what may be executed again."""
    durables = {"callboard": ("tool-model", "tool-echo"), "chain": ("chain-executor",)}[bench.setup.what]
    paths = [f"{layout.journal(group)}.{durable}" for group in range(bench.setup.groups) for durable in durables]
    infos = [await bench.bus.api(f"CONSUMER.INFO.{path}") for path in paths]
    return sum(info["num_pending"] + info["num_ack_pending"] for info in infos)


class _Audit(msgspec.Struct):
    called: Counter[str] = Counter()
    granted: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    ended: Counter[str] = Counter()


async def audit(bench: Bench, expected: int) -> dict[str, float]:
    """Read every record: a step that has not been taken is lost, one that was recorded twice is doubled."""
    found = _Audit(Counter(), Counter(), Counter(), Counter())
    for group in range(bench.setup.groups):
        async for message in reader.scan(bench.bus, layout.journal(group), "cb.*.*.*.*.*.log.>"):
            _count(found, message)
    every = (found.called, found.granted, found.taken, found.ended)
    return {
        "steps_lost": expected - len(found.taken),
        "records_doubled": sum(counter.total() - len(counter) for counter in every),
    }


def _count(found: _Audit, message: Delivery) -> None:
    for event in wire.decode(message.body, Record).events:
        match event:
            case run.Called():
                found.called.update(call.id for call in event.calls)
            case guard.Granted():
                found.granted[event.call.id] += 1
            case run.Took():
                found.taken.update(taken.call for taken in event.results)
            case run.Ended():
                found.ended[message.stored_subject] += 1
            case _:
                pass
