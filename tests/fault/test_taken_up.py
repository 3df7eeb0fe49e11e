"""A worker takes up what another had recorded: what follows from a record is done, and done once for all its inputs."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from callboard.actor import SEEN, Command, Decision, Input
from callboard.bus import Bus, layout, reader
from callboard.runtime import Source, Worker
from callboard_contracts import run, subjects, wire
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from tests.integration.system import new_id
from tests.integration.test_worker import Loud, read

pytestmark = pytest.mark.anyio


class Tells(Loud):
    """Notes each number once, and tells it. Its state is the set of numbers, a bit for each."""

    def __init__(self, *, dies: bool = False) -> None:
        self._dies = dies

    def decide(self, state: int, message: Input, facts: Facts) -> Decision:
        assert facts is not None
        return SEEN if state >> message.body & 1 else (run.Noted(text="x", code=str(message.body)),)

    def evolve(self, state: int, event: Event) -> int:
        assert isinstance(event, run.Noted)
        return state | 1 << int(event.code)

    def commands(self, address: subjects.Address, record: Record) -> Sequence[Command]:
        """One that dies has recorded its turns and sends nothing."""
        told = [event.code for event in record.events if isinstance(event, run.Noted)]
        return (
            [] if self._dies else [Command(str(address.at("send", f"told.{code}")), code, run.Wake()) for code in told]
        )


def worker_of(bus: Bus, actor: Tells) -> Worker[int]:
    return Worker(bus, 1, actor, [Source(layout.journal(0), "planner", read, 0)], Facts)


async def noted(worker: Worker[int], address: subjects.Address, count: int) -> None:
    """Wait until so many numbers are noted."""
    async with asyncio.timeout(20):
        while (await worker.state(address)).bit_count() < count:  # noqa: ASYNC110 - the journal tells by being asked
            await asyncio.sleep(0.002)


async def say(bus: Bus, address: subjects.Address, number: int) -> None:
    await bus.publish(str(address.at("in", "signal")), wire.encode(number), {wire.ID: f"i{number}"})


async def taken_up(bus: Bus, address: subjects.Address) -> Counter[str]:
    """Deliver everything again as the first time, as after a reset, and return how often each number was told."""
    await bus.api(f"CONSUMER.DELETE.{layout.journal(0)}.planner")
    await layout.provision(bus, 1)
    worker = worker_of(bus, Tells())
    await worker.start()
    async with asyncio.timeout(20):
        while await _left(bus):  # noqa: ASYNC110 - the broker tells by being asked
            await asyncio.sleep(0.01)
    await worker.stop()
    everything = str(address.at("send", "told.*"))
    return Counter([one.stored_subject async for one in reader.scan(bus, layout.journal(0), everything)])


async def _left(bus: Bus) -> int:
    info = await bus.api(f"CONSUMER.INFO.{layout.journal(0)}.planner")
    return int(info["num_pending"] + info["num_ack_pending"])


async def test_what_a_dead_worker_did_not_send_is_sent_however_much_was_recorded_since(fresh_broker: str) -> None:
    numbers = 80
    async with await Bus.connect(fresh_broker, name="test") as bus:
        await layout.provision(bus, 1)
        address = subjects.Address.of_run("acme", new_id())
        worker = worker_of(bus, Tells(dies=True))
        await worker.start()
        for number in range(1, numbers + 1):
            await say(bus, address, number)
            await noted(worker, address, number)
        await worker.stop()
        told = await taken_up(bus, address)
        assert len(told) == numbers


async def test_a_record_of_many_inputs_is_followed_once_when_they_all_come_again(fresh_broker: str) -> None:
    numbers = 60
    async with await Bus.connect(fresh_broker, name="test") as bus:
        await layout.provision(bus, 1)
        address = subjects.Address.of_run("acme", new_id())
        for number in range(1, numbers + 1):
            await say(bus, address, number)
        worker = worker_of(bus, Tells())
        await worker.start()
        await noted(worker, address, numbers)
        await worker.stop()
        told = await taken_up(bus, address)
        assert len(told) == numbers
        assert max(told.values()) <= 4
