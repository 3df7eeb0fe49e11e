"""What a connection goes on doing when those who use it are cancelled or stop."""

import asyncio

import pytest

from callboard.bus import Bus, Delivery, Puller, Room, ack, layout
from tests.tools.conftest import GROUPS
from tests.tools.parts import World, durables, eventually, pending


async def test_a_flush_that_is_cancelled_leaves_the_connection_as_it_was(bus: Bus) -> None:
    flushing = asyncio.create_task(bus.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    await bus.flush()
    assert await bus.api("INFO")


async def test_what_was_subscribed_before_a_flush_hears_what_others_say_after_it(bus: Bus, fresh_broker: str) -> None:
    """One in seventy missed it while a PING overtook the subscription."""
    missed: list[int] = []
    async with await Bus.connect(fresh_broker, name="other") as other:
        for number in range(300):
            heard = asyncio.Event()
            stop = await bus.subscribe(f"news.{number}", lambda _, heard=heard: heard.set())  # type: ignore[misc]
            other.send(f"news.{number}", b"x")
            await other.flush()
            await bus.flush()
            missed += [] if heard.is_set() else [number]
            await stop()
    assert missed == []


async def test_a_puller_that_stops_loses_nothing_of_what_was_on_its_way(world: World, bus: Bus) -> None:
    # Given back at once as a rule. What the broker had decided to send and not sent, it drops without a word until
    # ack_wait is over: seen once in a hundred, and not to be helped from here.
    await durables(bus, GROUPS, "drained", ack_wait_s=1.0)
    taken: list[str] = []

    async def start(group: int) -> Puller:
        def take(message: Delivery) -> None:
            taken.append(message.id)
            ack(bus, message)
            puller.done()

        puller = Puller(bus, f"JOURNAL-{group}", "tool-drained", take, room=Room(64))
        await puller.start()
        return puller

    first = [await start(group) for group in range(GROUPS)]
    granting = [asyncio.create_task(world.grant("drained")) for _ in range(100)]
    await asyncio.sleep(0.005)
    for puller in first:
        await puller.stop()
    calls = await asyncio.gather(*granting)
    second = [await start(group) for group in range(GROUPS)]

    async def all_taken() -> bool:
        return await pending(bus, GROUPS, "drained") == 0

    await eventually(all_taken)
    assert sorted(taken) == sorted(calls)
    for puller in second:
        await puller.stop()


async def test_pullers_that_share_a_room_hold_little_more_than_it_and_may_fill_it_from_one_stream(bus: Bus) -> None:
    size, held = 8, list[Delivery]()
    for number in range(100):
        await bus.publish(f"cb.t.run.0.x.y{number}.in.result", b"{}")
    config = layout.consumer("tool-shared", ["cb.t.run.*.*.*.in.>"])
    for group in range(GROUPS):
        await layout.create_consumer(bus, f"JOURNAL-{group}", config)
    room = Room(size, sharing=GROUPS)
    pullers = [Puller(bus, f"JOURNAL-{group}", "tool-shared", held.append, room=room) for group in range(GROUPS)]
    for puller in pullers:
        await puller.start()
    async with asyncio.timeout(5):
        while len(held) < size:  # noqa: ASYNC110 - the handler is called from the reader
            await asyncio.sleep(0.01)
    await bus.flush()
    assert size <= len(held) <= size + (GROUPS - 1) * room.most
    for puller in pullers:
        await puller.stop()
