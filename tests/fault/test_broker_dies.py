"""The broker is killed under the whole system: nothing accepted is lost, nothing is done twice, no service dies."""

import asyncio
from pathlib import Path

import pytest

from tests.fault.house import Broker, living
from tests.integration.processes import ALL

pytestmark = pytest.mark.anyio


async def test_killed_again_and_again_under_load_it_costs_nothing_but_time(breaking: Broker, tmp_path: Path) -> None:
    async with living(breaking.url, tmp_path) as house:
        posting = asyncio.create_task(house.post_for(4))
        for pause_s in (0.0, 0.5):
            await house.goals(5)
            await asyncio.sleep(0.3)
            await breaking.kill()
            await asyncio.sleep(pause_s)
            await breaking.start()
        await posting
        assert len(house.accepted) > 10  # some of those that were posted meanwhile, too
        records = await house.sound()
        assert records
        assert [process.name for process in house.host.processes if process.alive] == list(ALL)
        assert await house.letters() == []
