"""A service whose clock is an hour off, or is set while it works: deadlines are the broker's, and nothing notices."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from callboard_contracts.goal import Limits
from callboard_contracts.run import Ended
from tests.fault.house import Broker, House, living
from tests.fault.invariants import Stored
from tests.integration.processes import Host
from tests.integration.system import asks, script

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (apt-get install libfaketime)"),
]
CORE = ("tools", "guard", "planner", "models")
SLOW = script(
    [{"delay_s": 0.2} | asks(("calc", {"expression": "1+1"})), {"delay_s": 0.2, "output": "done"}],
    hang=[{"delay_s": 60, "output": "late"}],
)


class Clocks:
    """A clock for each service, which can be set while it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in CORE:
            self.set(name, "+0")

    def set(self, name: str, off: str) -> None:
        """Set a service's clock: `+1h`, `-1h`, `+0`."""
        draft = self._folder / f"{name}.new"
        draft.write_text(off)
        draft.replace(self._file(name))

    def of(self, name: str) -> Mapping[str, str]:
        """Return the environment that gives a process its clock. Time that only passes is left alone."""
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.clock"


async def start(host: Host, clocks: Clocks, *names: str) -> None:
    for name in names:
        await host.start(name, environment=clocks.of(name))


async def ended(house: House) -> dict[str, Ended]:
    records: list[Stored] = await house.sound(timeout_s=20)
    return {one.run: event for one in records for event in one.record.events if isinstance(event, Ended)}


async def test_a_clock_that_jumps_an_hour_either_way_ends_nothing_early(breaking: Broker, tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    environments = {name: clocks.of(name) for name in CORE}
    async with living(breaking.url, tmp_path, script=SLOW, services=CORE, environments=environments) as house:
        for name in CORE:
            for off in ("+1h", "-1h", "+0"):
                await house.goal()
                clocks.set(name, off)
                await house.goal()
        statuses = {run: (event.status, event.code) for run, event in (await ended(house)).items()}
        assert set(statuses.values()) == {("completed", "")}
        assert len(statuses) == 24


async def test_a_deadline_comes_neither_early_nor_late(breaking: Broker, tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    environments = {name: clocks.of(name) for name in CORE}
    for name, off in zip(CORE, ("-1h", "+1h", "-1h", "+1h"), strict=True):
        clocks.set(name, off)
    async with living(breaking.url, tmp_path, script=SLOW, services=CORE, environments=environments) as house:
        began = time.monotonic()
        await house.goal("hang", limits=Limits(timeout_s=3))
        await house.all_ended()
        took = time.monotonic() - began
        assert 2.9 < took < 5.0
        (event,) = (await ended(house)).values()
        assert (event.status, event.code) == ("failed", "time_budget")


@pytest.mark.parametrize("off", ["+1h", "-1h"])
async def test_calls_that_wait_when_an_executor_with_a_wrong_clock_starts_are_run(
    breaking: Broker, tmp_path: Path, off: str
) -> None:
    clocks = Clocks(tmp_path)
    async with living(breaking.url, tmp_path, script=SLOW, services=CORE) as house:
        for name in ("models", "tools"):
            await house.process(name).stop()
            clocks.set(name, off)
        await house.goals(3)
        await start(house.host, clocks, "models", "tools")
        found = await ended(house)
        assert {(event.status, event.turns) for event in found.values()} == {("completed", 2)}
