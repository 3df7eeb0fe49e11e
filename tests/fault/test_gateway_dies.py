"""The gateway is killed again and again while goals are posted: who tries again with the same key gets the same run."""

import asyncio
import contextlib
import signal
from pathlib import Path

import httpx
import pytest

from callboard_contracts import run
from tests.fault.house import Broker, House, living

pytestmark = pytest.mark.anyio
KEYS = 40
KILLS = 3


async def post(house: House, key: str) -> set[str]:
    """Post a goal under a key until it was accepted twice, and return the runs that the answers named."""
    runs: list[str] = []
    async with httpx.AsyncClient(base_url=f"http://{house.host.http}", timeout=5) as client:
        while len(runs) < 2:
            with contextlib.suppress(httpx.TransportError):
                body = {"objective": "work", "labels": {"key": key}}
                answer = await client.post("/v1/goals", json=body, headers={"Idempotency-Key": key})
                runs += [answer.json()["run"]] if answer.status_code == 202 else []
            await asyncio.sleep(0.05)
    return set(runs)


async def killed_and_restarted(house: House) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(0.3)
        await house.process("gateway").stop(signal.SIGKILL)
        await house.host.start("gateway")


@pytest.mark.slow
async def test_every_key_is_one_run_and_every_accepted_run_ends(breaking: Broker, tmp_path: Path) -> None:
    async with living(breaking.url, tmp_path) as house:
        killing = asyncio.create_task(killed_and_restarted(house))
        limit = asyncio.Semaphore(4)

        async def one(key: str) -> set[str]:
            async with limit:
                return await post(house, key)

        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(one(f"order-{number}") for number in range(KEYS)))
            await killing
        assert [len(runs) for runs in answers] == [1] * KEYS
        house.accepted += [name for runs in answers for name in runs]
        records = await house.sound()
        begun = [
            event.goal.labels["key"] for r in records for event in r.record.events if isinstance(event, run.Accepted)
        ]
        assert sorted(begun) == sorted(f"order-{number}" for number in range(KEYS))
