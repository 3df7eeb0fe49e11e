"""The power is cut under the whole system, again and again: every goal and record that was acknowledged is there."""

import asyncio
from pathlib import Path

import pytest

from callboard.bus import Bus, BusError, layout, reader
from callboard.server import marks
from callboard_contracts import subjects
from tests.fault.disk import Disk, disk, missing
from tests.fault.house import Broker, breakable, living
from tests.integration.system import GROUPS, new_id

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]


async def cut_and_restored(broker: Broker, disk: Disk) -> None:
    disk.cut()
    await broker.kill()
    await disk.unmount()
    disk.mount()
    await broker.start()


async def write_for_ever(bus: Bus, stored: dict[str, list[int]]) -> None:
    """Publish inputs that nobody reads into every journal, and note the sequences that were acknowledged."""
    while True:
        for run in (new_id(), new_id()):
            subject = str(subjects.Address("test", "approval", run, run).at("in", "vote"))
            try:
                ack = await bus.publish(subject, b"x" * 500, timeout_s=1)
                stored.setdefault(ack.stream, []).append(ack.seq)
            except BusError:
                await asyncio.sleep(0.05)


async def test_what_was_acknowledged_is_there_when_the_power_is_back(tmp_path: Path) -> None:
    stored: dict[str, list[int]] = {}
    async with (
        disk(tmp_path, 400) as own,
        breakable(own.folder / "nats") as broker,
        living(broker.url, tmp_path) as house,
    ):
        async with marks.keeping(broker.url, own.folder):
            writing = asyncio.create_task(write_for_ever(house.bus, stored))
            posting = asyncio.create_task(house.post_for(12))
            for _ in range(3):
                await house.goals(10)
                await asyncio.sleep(2)
                await cut_and_restored(broker, own)
                await marks.verify(house.bus, own.folder)
            await posting
            writing.cancel()
        await house.sound()
        assert all(process.alive for process in house.host.processes)
        assert len(house.accepted) > 30
        assert sum(map(len, stored.values())) > 200
        for group in range(GROUPS):
            name = layout.journal(group)
            found = {one.seq async for one in reader.scan(house.bus, name, "cb.test.>")}
            assert set(stored[name]) <= found
        print(f"{len(house.accepted)} goals, {sum(map(len, stored.values()))} records, 3 power cuts: none lost")  # noqa: T201
