"""Faults of those who act: an effect at most once, one result, and whatever a tool does costs its own call alone."""

import signal
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from callboard.bus import objects
from callboard.testing.openai_server import OpenAIServer, Say
from callboard_contracts import names
from tests.fault.counting import Counting, counting
from tests.fault.executors import FAKE, Asker, Executor, granted, taken
from tests.fault.house import House, breakable, living
from tests.integration.processes import CRASHED
from tests.integration.system import asks, script
from tests.tools.parts import alive, until

CORE = ("tools", "guard", "planner", "models")
SCRIPT = script(
    [{"output": "nothing asked"}],
    computes=[asks(("count.pure", {})), {"output": "done"}],
    writes=[asks(("count.write", {})), {"output": "done"}],
    dawdles=[asks(("slow.write", {"seconds": 3.0})), {"output": "done"}],
    looks=[asks(("slow.read", {"seconds": 12.0})), {"output": "done"}],
    glances=[asks(("slow.read", {"seconds": 3.0})), {"output": "done"}],
    floods=[
        asks(("flood", {"letters": 1_000_000})),
        asks(("flood", {"letters": objects.MAX_FILE_BYTES + 1})),
        {"output": "done"},
    ],
    hangs=[asks(("hang", {"file": "HERE/hang"})), asks(("count.pure", {})), {"output": "done"}],
    devours=[asks(("hungry", {})), asks(("count.pure", {})), {"output": "done"}],
    explodes=[asks(("bomb", {"file": "HERE/bomb"})), asks(("count.pure", {})), {"output": "done"}],
    overflows=[asks(("fills", {"file": "HERE/fill"})), asks(("count.pure", {})), {"output": "done"}],
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def outside() -> Iterator[Counting]:
    with counting() as found:
        yield found


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, here: Path) -> AsyncIterator[House]:
    told = _with(SCRIPT, str(here))
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(breakable(tmp_path_factory.mktemp("nats")))
        data = tmp_path_factory.mktemp("data")
        yield await stack.enter_async_context(living(broker.url, data, script=told, services=CORE))


def _with(value: object, here: str) -> object:
    """Return a script in which a folder is named."""
    match value:
        case str():
            return value.replace("HERE", here)
        case dict():
            return {key: _with(each, here) for key, each in value.items()}
        case list():
            return [_with(each, here) for each in value]
        case _:
            return value


@pytest.fixture
async def executor(house: House, outside: Counting) -> AsyncIterator[Executor]:
    yield Executor(house, outside)
    for process in house.host.processes:
        if process.name == "harmful" and process.alive:
            await process.stop()


BEFORE = ("executor.before_effect", "executor.after_effect", "executor.before_result")
AFTER = ("executor.after_result", "executor.after_ack")
WRITES = {
    "executor.before_claim": ("completed", 1),
    "executor.after_claim": ("lost", 0),
    "executor.before_effect": ("lost", 0),
    "executor.after_effect": ("lost", 1),
    "executor.before_result": ("lost", 1),
    "executor.after_result": ("completed", 1),
    "executor.after_ack": ("completed", 1),
}
"""What is known of a write whose process died at a point, and how often it had its effect."""


def usual(points: Iterable[str], *fast: str) -> list[Any]:
    """Return the points as cases; those that are not named take their time elsewhere."""
    return [pytest.param(point, marks=() if point in fast else (pytest.mark.slow,)) for point in points]


@pytest.mark.parametrize("point", usual(WRITES, "executor.after_effect"))
async def test_a_write_has_its_effect_at_most_once_wherever_its_executor_dies(
    house: House, executor: Executor, outside: Counting, point: str
) -> None:
    first = await executor.start(crash_at=point)
    goal = await house.goal("writes")
    assert await first.ended() == CRASHED
    await executor.start()
    (result,) = await taken(house, goal, "count.write")
    assert (result.status, outside.of(result.call)) == WRITES[point]


@pytest.mark.slow
@pytest.mark.parametrize("point", BEFORE + AFTER)
async def test_a_pure_call_is_run_again_until_its_result_is_stored_and_never_after(
    house: House, executor: Executor, outside: Counting, point: str
) -> None:
    first = await executor.start(crash_at=point)
    goal = await house.goal("computes")
    assert await first.ended() == CRASHED
    await executor.start()
    (result,) = await taken(house, goal, "count.pure")
    assert result.status == "completed"
    assert outside.of(result.call) == (1 if point in AFTER or point == "executor.before_effect" else 2)


@pytest.mark.slow
async def test_a_call_that_takes_longer_than_the_broker_waits_is_delivered_once(
    house: House, executor: Executor, outside: Counting
) -> None:
    """Ack wait 2 s, tool 3 s, and another executor that would take it."""
    await executor.start()
    await executor.start()
    goal = await house.goal("dawdles")
    (result,) = await taken(house, goal, "slow.write")
    assert (result.status, outside.of(result.call)) == ("completed", 1)


async def test_a_frozen_executor_s_call_is_not_done_again_by_another_while_it_may_wake_up(
    house: House, executor: Executor, outside: Counting
) -> None:
    """Stopped for longer than the broker waits, in the middle of a write, it then goes on: one effect, one result."""
    first = await executor.start()
    goal = await house.goal("dawdles")
    call = await granted(house, goal, "slow.write")
    await until(lambda: outside.begun(call))
    await executor.start()
    first.send(signal.SIGSTOP)
    (result,) = await taken(house, goal, "slow.write")
    assert (result.status, outside.of(result.call)) == ("lost", 0)
    first.send(signal.SIGCONT)
    assert await first.stop() == 0  # it finished what it had, or heard that its run has ended
    assert outside.of(result.call) <= 1
    assert await taken(house, goal, "slow.write") == [result]


async def test_a_run_goes_on_whatever_the_size_of_a_tool_s_output(house: House, executor: Executor) -> None:
    await executor.start()
    goal = await house.goal("floods")
    large, too_large = await taken(house, goal, "flood")
    assert large.status == "completed"
    assert (too_large.status, too_large.code) == ("failed", "output_invalid")


async def test_a_tool_that_hangs_is_ended_with_its_whole_process_group_and_its_room_is_free_again(
    house: House, executor: Executor, here: Path
) -> None:
    await executor.start(concurrency=1)
    goal = await house.goal("hangs")
    (hung,) = await taken(house, goal, "hang")
    assert (hung.status, hung.code) == ("failed", "call_timeout")
    pids = [int(line) for line in (here / "hang").read_text().split()]
    assert len(pids) == 3
    assert not any(alive(pid) for pid in pids)
    (after,) = await taken(house, goal, "count.pure")
    assert after.status == "completed"


async def test_a_tool_that_takes_all_memory_costs_its_call_alone(house: House, executor: Executor) -> None:
    process = await executor.start()
    goal = await house.goal("devours")
    (result,) = await taken(house, goal, "hungry")
    assert (result.status, result.code) == ("failed", "tool_failed")
    assert "memory" in result.message
    (after,) = await taken(house, goal, "count.pure")
    assert after.status == "completed"
    assert process.alive


@pytest.mark.slow
async def test_a_tool_that_forks_again_and_again_leaves_nothing_behind(
    house: House, executor: Executor, here: Path
) -> None:
    process = await executor.start()
    goal = await house.goal("explodes")
    (result,) = await taken(house, goal, "bomb")
    assert (result.status, result.code) == ("failed", "call_timeout")
    pids = [int(line) for line in (here / "bomb").read_text().split()]
    assert len(pids) == 64
    assert not any(alive(pid) for pid in pids)
    assert process.alive


@pytest.mark.slow
async def test_a_tool_that_fills_the_disk_is_stopped_at_its_limit(house: House, executor: Executor, here: Path) -> None:
    await executor.start()
    goal = await house.goal("overflows")
    (result,) = await taken(house, goal, "fills")
    assert result.status == "completed"
    assert (here / "fill").stat().st_size == 1 << 20


@pytest.mark.slow
async def test_a_call_that_works_for_many_times_the_broker_s_patience_is_run_once(
    house: House, executor: Executor, outside: Counting
) -> None:
    """An hour of work, scaled: six times the ack wait, with other executors at hand."""
    await executor.start()
    await executor.start()
    goal = await house.goal("looks")
    (result,) = await taken(house, goal, "slow.read")
    assert (result.status, outside.of(result.call)) == ("completed", 1)
    assert result.duration_ms >= 12_000


@pytest.mark.slow
async def test_a_call_that_only_reads_completes_though_its_executor_is_restarted_again_and_again(
    house: House, executor: Executor, outside: Counting
) -> None:
    """An executor that is restarted every minute, scaled: each is killed in the middle of the call, the last stays."""
    process = await executor.start()
    goal = await house.goal("glances")
    call = await granted(house, goal, "slow.read")
    for times in (1, 2, 3):
        await until(lambda times=times: outside.begun(call) == times)  # type: ignore[misc]
        await process.stop(signal.SIGKILL)
        process = await executor.start()
    (result,) = await taken(house, goal, "slow.read")
    assert (result.status, outside.of(result.call)) == ("completed", 1)


@pytest.fixture
async def asker(house: House) -> AsyncIterator[Asker]:
    for process in house.host.processes:
        if process.name in ("models", "asker") and process.alive:
            await process.stop()
    async with OpenAIServer(Say(calls=(("finish", '{"output": "done"}'),))) as provider:
        yield Asker(house, provider)


@pytest.mark.parametrize("point", usual(BEFORE + AFTER, "executor.after_effect"))
async def test_a_model_is_asked_once_more_at_most_and_charged_once_wherever_its_service_dies(
    house: House, asker: Asker, point: str
) -> None:
    """These come last: from here on the script has no service."""
    first = await asker.start(point)
    goal = await house.goal("asks", model=FAKE)
    assert await first.ended() == CRASHED
    await asker.start()
    (result,) = await taken(house, goal, names.MODEL)
    assert result.status == "completed"
    assert len(asker.provider.requests) == (1 if point in AFTER or point == "executor.before_effect" else 2)
