"""The disk under the broker fills up: goals are refused in words, readiness is red, and nothing accepted is lost.

Once there is room, everything goes on without anybody's help.
"""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.fault.disk import disk, missing
from tests.fault.house import House, breakable, living

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]
GOAL = {"objective": "work"}


async def until(client: httpx.AsyncClient, path: str, status: int, *, within_s: float = 60) -> None:
    """Wait until a path answers with a status."""
    async with asyncio.timeout(within_s):
        while (await client.get(path)).status_code != status:  # noqa: ASYNC110 - it tells by being asked
            await asyncio.sleep(0.2)


async def test_a_full_disk_refuses_goals_and_costs_none_that_was_accepted(tmp_path: Path) -> None:
    async with (
        disk(tmp_path, 400) as own,
        breakable(own.folder / "nats") as broker,
        living(broker.url, tmp_path) as house,
        httpx.AsyncClient(base_url=f"http://{house.host.http}", timeout=30) as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
        posting = asyncio.create_task(house.post_for(15, pause_s=0.1))
        await asyncio.sleep(2)
        own.fill()
        await until(client, "/readyz", 503)
        refused = [await client.post("/v1/goals", json=GOAL, timeout=30) for _ in range(3)]
        assert [(one.status_code, one.json()["code"]) for one in refused] == [(503, "unavailable")] * 3
        assert (await client.get("/healthz")).status_code == 200
        own.free()
        await until(client, "/readyz", 200)
        answer = await client.post("/v1/goals", json=GOAL)
        assert answer.status_code == 202
        house.accepted.append(answer.json()["run"])
        await posting
        house.accepted += [run for run in (one.json()["run"] for one in refused) if run in await begun(house)]
        await house.sound(timeout_s=90)
        assert all(process.alive for process in house.host.processes)


async def begun(house: House) -> set[str]:
    """Return the runs that have a record: a goal that was refused as perhaps stored may be one."""
    return {one.run for one in await house.records()}
