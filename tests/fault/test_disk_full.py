"""The disk under the broker fills up: goals are refused in words, readiness is red, and nothing accepted is lost.

Once there is room, everything goes on without anybody's help.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fault.disk import disk, missing
from tests.fault.house import WORK, House, breakable, living
from tests.fault.up import up

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]
GOAL = {"objective": "work"}
ENDED = ("completed", "failed", "refused", "cancelled", "unachievable")


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


async def test_a_system_in_one_process_with_all_it_has_on_the_full_disk_goes_on(tmp_path: Path) -> None:
    """Its ledger, its marks and its log are there too."""
    async with disk(tmp_path, 400) as own:
        (own.folder / "script.json").write_text(json.dumps(WORK))
        with up(own.folder / "data") as (process, http):
            async with httpx.AsyncClient(base_url=http, timeout=30) as client:
                before = await ended(client)
                own.fill()
                posted = await refused(client)
                await until(client, "/readyz", 503)
                await asyncio.sleep(5)  # everything else had the time to meet it too
                own.free()
                await until(client, "/readyz", 200)
                assert await ended(client, before["run"]) == before
                found = [before, await ended(client), *[await ended(client, run) for run in posted]]
                assert {one["status"] for one in found} == {"completed"}
            assert process.poll() is None
            process.terminate()
            assert process.wait(30) == 0


async def refused(client: httpx.AsyncClient) -> list[str]:
    """Post goals until one is refused, and return those that were not."""
    taken: list[str] = []
    while (answer := await client.post("/v1/goals", json=GOAL)).status_code == 202:
        taken.append(answer.json()["run"])
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    return taken


async def ended(client: httpx.AsyncClient, name: str = "") -> dict[str, Any]:
    """Return a run as the ledger tells it once it has ended: a new one, or one that there is."""
    name = name or (await client.post("/v1/goals", json=GOAL)).json()["run"]
    async with asyncio.timeout(30):
        while (found := await client.get(f"/v1/runs/{name}")).json().get("status") not in ENDED:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)
    return dict(found.json())


async def begun(house: House) -> set[str]:
    """Return the runs that have a record: a goal that was refused as perhaps stored may be one."""
    return {one.run for one in await house.records()}
