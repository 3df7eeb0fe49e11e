"""A service and the broker lose each other, one way or both; acknowledgements get lost after what they acknowledge."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random

import pytest

from tests.fault.house import Broker, House, living
from tests.fault.proxy import Proxy, proxied
from tests.integration.system import asks, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
CORE = ("tools", "guard", "planner", "models")
SLOW = script(
    [
        {"delay_s": 0.2} | asks(("calc", {"expression": "1+1"})),
        {"delay_s": 0.2} | asks(("calc", {"expression": "2+2"}), ("calc", {"expression": "3+3"})),
        {"delay_s": 0.2, "output": "done"},
    ]
)


def through(proxy: Proxy, url: str, data: Path) -> AbstractAsyncContextManager[House]:
    """Run every service through one proxy."""
    return living(url, data, script=SLOW, services=CORE, ways=dict.fromkeys(CORE, proxy.url))


def deaf(proxy: Proxy) -> None:
    """It is heard and hears nothing: what it publishes is stored, and it never learns so."""
    proxy.back.mode = "hold"


def dumb(proxy: Proxy) -> None:
    """It hears everything and is not heard: what it was given is delivered to another."""
    proxy.there.mode = "hold"


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        pytest.param("planner", deaf, id="planner-deaf"),
        pytest.param("guard", deaf, id="guard-deaf"),
        pytest.param("planner", dumb, id="planner-dumb"),
        pytest.param("models", Proxy.cut, id="models-cut"),
        pytest.param("tools", deaf, id="tools-deaf"),
    ],
)
async def test_what_a_lost_service_held_is_taken_over_and_what_it_says_later_is_refused(
    breaking: Broker, tmp_path: Path, name: str, harm: Callable[[Proxy], None]
) -> None:
    async with (
        proxied(breaking.url) as proxy,
        living(breaking.url, tmp_path, services=CORE, ways={name: proxy.url}) as house,
    ):
        lost = house.process(name)
        await house.goals(4)
        loading = asyncio.create_task(house.goals(12))
        await asyncio.sleep(0.2)
        harm(proxy)
        await loading
        await house.host.start(name)
        await house.all_ended(timeout_s=40)
        proxy.heal()
        await house.goals(4)
        await house.sound()
        assert lost.alive
        assert await house.letters() == []


async def test_acknowledgements_that_get_lost_after_the_commit_lead_to_one_event_each(
    breaking: Broker, tmp_path: Path
) -> None:
    """Everything that planner, guard and executors publish is stored; what the broker answers is swallowed."""
    async with proxied(breaking.url) as proxy, through(proxy, breaking.url, tmp_path) as house:
        for _ in range(5):
            await house.goals(5)
            await asyncio.sleep(0.15)
            proxy.back.mode = "swallow"
            await asyncio.sleep(0.25)
            proxy.heal()
        await house.sound(timeout_s=60)
        assert proxy.back.swallowed > 1_000
        assert proxy.connections >= 6 * len(CORE)
        assert all(process.alive for process in house.host.processes)
        assert await house.letters() == []


async def test_a_slow_line_that_breaks_now_and_then_costs_time_alone(breaking: Broker, tmp_path: Path) -> None:
    async with proxied(breaking.url) as proxy, through(proxy, breaking.url, tmp_path) as house:
        proxy.there.delay_s = proxy.back.delay_s = 0.02
        for _ in range(4):
            await house.goals(3)
            await asyncio.sleep(0.6)
            proxy.reset()
        await house.sound()
        assert await house.letters() == []


async def test_connections_that_break_at_random_cost_time_alone(breaking: Broker, tmp_path: Path) -> None:
    """Every quarter of a second each connection of planner, guard and executors is lost with one in five."""
    dice = Random(20)  # noqa: S311 - the same losses at every run
    async with proxied(breaking.url) as proxy, through(proxy, breaking.url, tmp_path) as house:
        for _ in range(24):
            await house.goals(2)
            await asyncio.sleep(0.25)
            proxy.drop(dice, 0.2)
        await house.sound()
        assert proxy.connections >= len(CORE) + 10
        assert all(process.alive for process in house.host.processes)
        assert await house.letters() == []


async def test_a_line_of_two_megabits_costs_time_alone(breaking: Broker, tmp_path: Path) -> None:
    """Planner, guard and executors share it, and wait for it most of the time."""
    async with proxied(breaking.url) as proxy, through(proxy, breaking.url, tmp_path) as house:
        proxy.there.bytes_per_s = proxy.back.bytes_per_s = 2_000_000 // 8
        began = asyncio.get_running_loop().time()
        for _ in range(25):
            await house.goal("work " + "and more " * 1_000)
        await house.sound()
        took = asyncio.get_running_loop().time() - began
        assert took > max(5.0, proxy.back.carried / proxy.back.bytes_per_s - 2), "it was the line they waited for"
        assert await house.letters() == []
