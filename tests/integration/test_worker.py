"""The turn protocol with an actor that misbehaves: its input is set aside with the reason, and the others go on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from callboard.actor import Command, Decision, Input
from callboard.bus import Bus, Delivery, layout, reader
from callboard.runtime import Source, Worker
from callboard_contracts import dead, ids, run, subjects, wire
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from tests.integration.system import new_id

pytestmark = pytest.mark.anyio


class Loud:
    """Notes what it is told, at the length it is told."""

    name = "planner"
    kind: subjects.Actor = "run"

    def initial(self) -> int:
        return 0

    def decide(self, state: int, message: Input, facts: Facts) -> Decision:
        assert facts is not None
        return (run.Noted(text="x" * message.body, code=str(state)),)

    def evolve(self, state: int, event: Event) -> int:
        assert isinstance(event, run.Noted)
        return state + 1

    def lane(self, events: Sequence[Event]) -> str:
        return type(events[-1]).__name__.lower()

    def commands(self, address: subjects.Address, record: Record) -> Sequence[Command]:
        assert address.run
        assert record.events
        return ()

    def needs(self, body: Any) -> Sequence[str]:
        assert body
        return ()

    def reads(self, state: int, body: Any) -> Sequence[int]:
        assert body
        assert state >= 0
        return ()

    def begins(self, body: Any) -> bool:
        assert body
        return False

    def timer_ms(self, state: int) -> int:
        assert state >= 0
        return 0

    def finished(self, state: int) -> bool:
        assert state >= 0
        return False

    def snapshot(self, state: int) -> bytes:
        return wire.encode(state)

    def restore(self, snapshot: bytes, genesis: Record) -> int:
        assert genesis.events
        return wire.decode(snapshot, int)


def read(delivery: Delivery) -> Input:
    where = subjects.Subject.parse(delivery.stored_subject)
    return Input(delivery.id, where.address, wire.decode(delivery.body, int), delivery.seq, delivery.time_ms)


async def until_told(worker: Worker[int], address: subjects.Address, times: int) -> None:
    """Wait until an actor has recorded so many turns."""
    async with asyncio.timeout(10):
        while await worker.state(address) < times:  # noqa: ASYNC110 - the journal tells by being asked
            await asyncio.sleep(0.005)


async def test_a_record_that_the_broker_never_takes_is_a_dead_letter_at_once_and_the_queue_goes_on(
    fresh_broker: str,
) -> None:
    async with await Bus.connect(fresh_broker, name="test") as bus:
        await layout.provision(bus, 1)
        worker: Worker[int] = Worker(bus, 1, Loud(), [Source(layout.journal(0), "planner", read, 0)], Facts)
        address = subjects.Address.of_run("acme", new_id())
        sizes = [10, 2_000_000, 20]
        for number, size in enumerate(sizes):
            await bus.publish(str(address.at("in", "signal")), wire.encode(size), {wire.ID: f"i{number}"})
        await worker.start()
        await until_told(worker, address, 2)
        async with asyncio.timeout(10):
            while (letter := await reader.last(bus, layout.DEAD, subjects.dead("acme", "planner"))) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await worker.stop()
    found = wire.decode(letter.body, dead.Letter)
    assert (found.code, found.id, found.body) == ("poison", "i1", "2000000")
    assert ids.is_run(address.run)


async def test_a_state_that_is_read_back_is_the_fold_of_every_record_across_snapshots(fresh_broker: str) -> None:
    async with await Bus.connect(fresh_broker, name="test") as bus:
        await layout.provision(bus, 1)
        address = subjects.Address.of_run("acme", new_id())
        for number in range(50):
            await bus.publish(str(address.at("in", "signal")), b"3", {wire.ID: f"i{number}"})
            worker: Worker[int] = Worker(bus, 1, Loud(), [Source(layout.journal(0), "planner", read, 0)], Facts)
            await worker.start()
            await until_told(worker, address, number + 1)
            await worker.stop()
        records = [
            wire.decode(message.body, Record) async for message in reader.scan(bus, layout.journal(0), address.fence)
        ]
    notes = [event for record in records for event in record.events if isinstance(event, run.Noted)]
    assert [note.code for note in notes] == [str(number) for number in range(50)]
    assert sum(bool(record.state) for record in records) == 3
