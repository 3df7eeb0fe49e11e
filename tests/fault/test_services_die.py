"""Services are killed, frozen and replaced under load: another goes on, and nothing is doubled."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from callboard_contracts import guard, names, run, subjects, wire
from tests.fault import invariants
from tests.fault.house import Broker, House, living, priced
from tests.integration.system import asks, script

pytestmark = pytest.mark.anyio

SLOW = script(
    [
        {"delay_s": 0.3} | asks(("calc", {"expression": "1+1"})),
        {"delay_s": 0.3} | asks(("calc", {"expression": "2+2"}), ("calc", {"expression": "3+3"})),
        {"delay_s": 0.3, "output": "done"},
    ]
)


def deleted(data: Path) -> None:
    """Delete the ledger's tables, and all that SQLite keeps beside them."""
    for file in data.glob("ledger.db*"):
        file.unlink()


async def told_by_the_ledger(house: House) -> dict[str, tuple[str, int]]:
    """Return every accepted goal's status and bill as the ledger has them, once it has read the tree's last record."""
    found = {}
    for tree in house.accepted:
        last = max(one.seq for one in await house.records() if one.subject.address.tree == tree)
        question = wire.encode({"run": tree, "min_seq": last})
        answer = await house.bus.request(subjects.ask("default", "ledger", "run"), question, timeout_s=10)
        row: dict[str, Any] = json.loads(answer.body)["run"]
        found[tree] = (row["status"], row["tree_cost_micro_usd"])
    return found


def folded(records: list[invariants.Stored]) -> dict[str, tuple[str, int]]:
    """Return the same from the records, by a fold that shares nothing with the ledger's."""
    status = {one.run: e.status for one in records for e in one.record.events if isinstance(e, run.Ended)}
    bills = {e.run: e.committed_micro_usd for one in records for e in one.record.events if isinstance(e, guard.Closed)}
    return {name: (status[name], bills[name]) for name in status}


async def test_a_killed_ledger_and_a_deleted_one_tell_what_the_journal_tells(
    breaking: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    priced(tmp_path, monkeypatch)
    async with living(breaking.url, tmp_path, services=("tools", "guard", "planner", "models", "ledger")) as house:
        await house.goals(5)
        await house.process("ledger").stop(signal.SIGKILL)
        await house.goals(5)
        await house.host.start("ledger")
        records = await house.sound()
        told = await told_by_the_ledger(house)
        assert told == folded(records)
        assert all(status == "completed" and cost > 0 for status, cost in told.values())
        await house.process("ledger").stop(signal.SIGKILL)
        deleted(tmp_path)
        await house.host.start("ledger")
        assert await told_by_the_ledger(house) == told


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("models", "guard")), "planner"]
)
async def test_a_model_call_during_which_a_service_is_killed_is_answered_and_charged_once(
    breaking: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its executor: another answers. Planner or guard: the answer waits for the next one."""
    priced(tmp_path, monkeypatch)
    services = ("tools", "guard", "planner", "models")
    async with living(breaking.url, tmp_path, script=SLOW, services=services) as house:
        await house.goals(4)
        await granted(house, names.MODEL, 4)
        await house.process(name).stop(signal.SIGKILL)
        await house.host.start(name)
        records = await house.sound()
        taken = [one for r in records for e in r.record.events if isinstance(e, run.Took) for one in e.results]
        asked = [one for one in taken if one.tool == names.MODEL]
        assert [one.status for one in asked] == ["completed"] * 12
        assert sum(cost for _, cost in folded(records).values()) == sum(one.cost_micro_usd for one in asked) > 0


async def granted(house: House, tool: str, count: int) -> None:
    """Wait until so many calls of a tool were granted: they are being run."""
    async with asyncio.timeout(20):
        while True:
            events = [event for one in await house.records() for event in one.record.events]
            if sum(isinstance(event, guard.Granted) and event.call.tool == tool for event in events) >= count:
                return
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["planner", "guard"])
async def test_a_frozen_owner_that_wakes_up_doubles_nothing(breaking: Broker, tmp_path: Path, name: str) -> None:
    """It had pulled inputs when it was frozen; another took them over and ended the runs; then it goes on."""
    async with living(breaking.url, tmp_path, services=("tools", "guard", "planner", "models")) as house:
        zombie = house.process(name)
        loading = asyncio.create_task(house.goals(30))
        await asyncio.sleep(0.3)
        zombie.send(signal.SIGSTOP)
        await loading
        await house.host.start(name)
        await house.all_ended(timeout_s=30)
        zombie.send(signal.SIGCONT)
        await house.goals(5)
        records = await house.sound()
        assert zombie.alive
        assert len(records) >= 35
        assert await house.letters() == []


@pytest.mark.slow
async def test_every_service_is_replaced_while_fifty_runs_are_active(breaking: Broker, tmp_path: Path) -> None:
    async with living(breaking.url, tmp_path, script=SLOW) as house:
        await house.goals(50)
        posting = asyncio.create_task(house.post_for(8, pause_s=0.2))
        for name in ("gateway", "models", "tools", "planner", "guard", "ledger"):
            old = house.process(name)
            assert await old.stop(signal.SIGTERM) == 0
            await house.host.start(name)
        await posting
        await house.sound()
        assert len(house.accepted) >= 60
        assert await house.letters() == []
        told = await told_by_the_ledger(house)
        assert {status for status, _ in told.values()} == {"completed"}
