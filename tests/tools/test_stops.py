"""What is cancelled stops at once: what runs, what waits for room, and what is only delivered afterwards."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callboard.bus import Bus
from callboard.tools import ToolContext, serving, tool
from callboard.tools.clock import BrokerClock
from callboard.tools.stops import Stops
from callboard_contracts import ids
from callboard_contracts.call import Completed, Failed, Lost
from callboard_contracts.tool import Effect
from tests.server.users import TENANT as SERVED
from tests.server.users import everyone
from tests.tools.conftest import GROUPS, Serve
from tests.tools.parts import TENANT, World, durables, eventually, pending, until


class Seen:
    """What became of handlers: which calls began, and which were told to stop."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.told: list[str] = []

    async def take_long(self, context: ToolContext, seconds: float = 60.0) -> str:
        self.began.append(context.call)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.told.append(context.call)
            raise
        return "done"


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def long_ones(serve: Serve, seen: Seen) -> None:
    """Serve one tool that reads and one that writes; each runs until it is told to stop."""

    @tool(name="long.read", effect="read")
    async def long_read(context: ToolContext, seconds: float = 60.0) -> str:
        """Take long."""
        return await seen.take_long(context, seconds)

    @tool(name="long.write", effect="write", concurrency=1)
    async def long_write(context: ToolContext) -> str:
        """Take long, having perhaps changed something."""
        return await seen.take_long(context)

    await serve(long_read, long_write)


@pytest.mark.usefixtures("long_ones")
async def test_running_calls_of_a_cancelled_run_and_of_its_descendants_are_stopped_and_no_others(
    world: World, seen: Seen
) -> None:
    child, cousin = f"{world.tree}-1-0", f"{world.tree}-1-1"
    of_child = await world.grant("long.read", by=child)
    of_grandchild = await world.grant("long.read", by=f"{child}-1-0")
    others = [
        await world.grant("long.read", {"seconds": 1.5}),
        await world.grant("long.read", {"seconds": 1.5}, by=cousin),
    ]
    await until(lambda: len(seen.began) == 4)
    await world.cancel(child)
    for call in (of_child, of_grandchild):
        result = await world.result(call, within_s=1)
        assert isinstance(result, Failed)
        assert (result.code, result.retryable) == ("cancelled", False)
        assert result.message == "long.read was stopped: its run was cancelled"
    assert sorted(seen.told) == sorted([of_child, of_grandchild])
    assert {type(await world.result(call)) for call in others} == {Completed}


@pytest.mark.usefixtures("long_ones")
async def test_what_may_have_had_its_effect_when_it_was_cancelled_is_lost(world: World, seen: Seen) -> None:
    wrote = await world.grant("long.write")
    await until(lambda: seen.began)
    await world.cancel(world.tree)
    result = await world.result(wrote, within_s=1)
    assert isinstance(result, Lost)
    assert "its run was cancelled; it may have had its effect" in result.message


@pytest.mark.usefixtures("long_ones")
async def test_a_cancelled_call_that_waits_for_room_is_answered_at_once_and_never_starts(
    world: World, seen: Seen, bus: Bus
) -> None:
    first = world.tree
    runs = await world.grant("long.write")
    await until(lambda: seen.began)
    world.new_tree(1 - ids.partition(first) % GROUPS, GROUPS)  # room is asked for by journal: this one has some
    waits = await world.grant("long.write")
    await eventually(lambda: _delivered(bus, 2))
    await world.cancel(world.tree)
    result = await world.result(waits, within_s=1)
    assert isinstance(result, Failed)
    assert result.code == "cancelled"
    assert runs not in world.results
    await world.cancel(first)
    await world.result(runs, within_s=1)
    assert seen.began == [runs]


async def _delivered(bus: Bus, count: int) -> bool:
    infos = [await bus.api(f"CONSUMER.INFO.JOURNAL-{group}.tool-long-write") for group in range(GROUPS)]
    return sum(int(info["num_ack_pending"]) for info in infos) == count


@pytest.mark.usefixtures("long_ones")
async def test_a_call_that_is_delivered_after_its_run_was_cancelled_is_not_started(world: World, seen: Seen) -> None:
    heard = await world.grant("long.read")
    await until(lambda: seen.began)
    await world.cancel(world.tree)
    await world.result(heard)
    for name in ("long.read", "long.write"):
        result = await world.result(await world.grant(name, by=f"{world.tree}-1-0"), within_s=2)
        assert isinstance(result, Failed)
        assert result.code == "cancelled"
    assert seen.began == [heard]


@pytest.mark.parametrize("effect", ["read", "write"])
async def test_a_call_that_was_cancelled_when_no_process_listened_is_not_started(
    world: World, bus: Bus, effect: Effect
) -> None:
    began: list[str] = []

    @tool(name="late", effect=effect)
    async def late(context: ToolContext) -> None:
        """Note that it began."""
        began.append(context.call)

    await durables(bus, GROUPS, "late")
    await world.answer_whether_open()
    over, still = [await world.grant("late") for _ in range(2)]
    world.closed.append(over)
    async with serving(bus, GROUPS, [late]):
        result = await world.result(over)
        assert isinstance(await world.result(still), Completed)
    assert isinstance(result, Failed)
    assert result.code == "cancelled"
    assert began == [still]


@pytest.mark.usefixtures("long_ones")
async def test_a_call_that_was_granted_while_this_process_listens_is_not_asked_about(world: World, seen: Seen) -> None:
    await world.answer_whether_open()
    await world.result(await world.grant("long.read", {"seconds": 0.0}))
    assert world.asked == []
    assert len(seen.began) == 1


@pytest.mark.usefixtures("long_ones")
async def test_another_tenant_s_word_stops_nothing(world: World, seen: Seen) -> None:
    call = await world.grant("long.read", {"seconds": 0.8})
    await until(lambda: seen.began)
    await world.cancel(world.tree, tenant="other")
    assert isinstance(await world.result(call), Completed)


@pytest.mark.usefixtures("long_ones")
async def test_a_run_whose_end_nobody_heard_stops_its_long_calls_all_the_same(world: World, seen: Seen) -> None:
    await world.answer_whether_open()
    call = await world.grant("long.read")
    world.closed.append(call)
    result = await world.result(call, within_s=5)
    assert isinstance(result, Failed)
    assert result.message == "long.read did not answer before its run ended"
    assert seen.told == [call]


async def test_a_function_in_a_thread_is_left_behind_when_it_is_cancelled(world: World, serve: Serve) -> None:
    began, let_go = threading.Event(), threading.Event()

    @tool(name="thread", effect="pure", concurrency=1)
    def in_thread(wait: bool = True) -> None:
        """Wait in a thread."""
        began.set()
        if wait:
            let_go.wait(30)

    await serve(in_thread)
    try:
        call = await world.grant("thread")
        await until(began.is_set)
        await world.cancel(world.tree)
        assert isinstance(await world.result(call, within_s=1), Failed)
        world.new_tree(0, GROUPS)
        assert isinstance(await world.result(await world.grant("thread", {"wait": False})), Completed)
    finally:
        let_go.set()


async def test_a_call_that_is_delivered_again_while_it_runs_here_runs_once_and_has_one_answer(
    world: World, bus: Bus
) -> None:
    """As when this process could not be scheduled for longer than the broker waits."""
    attempts: list[int] = []

    @tool(name="slow", effect="write")
    async def slow(context: ToolContext) -> int:
        """Take longer than the broker waits."""
        attempts.append(context.attempt)
        await asyncio.sleep(2.5)
        return context.attempt

    await durables(bus, GROUPS, "slow", ack_wait_s=0.5)
    await world.answer_whether_open()
    async with serving(bus, GROUPS, [slow], ack_wait_s=30.0):  # it says nothing for ten seconds
        call = await world.grant("slow")
        assert isinstance(await world.result(call), Completed)
        await eventually(lambda: _nothing_pending(bus, "slow"))
    assert attempts == [1]
    assert len(world.results[call]) == 1


async def _nothing_pending(bus: Bus, name: str) -> bool:
    return await pending(bus, GROUPS, name) == 0


@pytest.fixture(scope="module")
async def bus_of(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Bus]]:
    folder: Path = tmp_path_factory.mktemp("users")
    async with everyone(folder) as found:
        yield found


@pytest.mark.parametrize("user", ["tools", "models", "memory", "tool"])
async def test_every_user_that_executes_hears_of_cancellations(bus_of: dict[str, Bus], user: str) -> None:
    stops = Stops(bus_of[user], BrokerClock())
    world = World(bus_of["operator"])
    await stops.start()
    told = stops.hold(SERVED, f"{world.tree}-1-0-2-0")
    assert told is not None
    await world.cancel(f"{world.tree}-1-0", tenant=SERVED)
    await until(lambda: told.reason == "cancelled")
    stops.release(told)
    await stops.stop()


async def test_of_runs_cancelled_long_ago_only_the_latest_are_remembered(bus: Bus, world: World) -> None:
    stops = Stops(bus, BrokerClock())
    for number in range(5000):
        stops._cancel(TENANT, f"{world.tree}-1-{number}")
    first, last = stops.hold(TENANT, f"{world.tree}-1-0-1-0"), stops.hold(TENANT, f"{world.tree}-1-4999-1-0")
    assert first is not None
    assert last is not None
    assert (first.reason, last.reason) == ("", "cancelled")
