"""Between a request and its decision everything may die, and all may be said twice: the call runs once, or not."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callboard.bus import BusError
from callboard_contracts import approval, guard, ids, names, subjects, wire
from callboard_contracts.policy import Rule
from tests.fault import invariants
from tests.fault.house import Broker, House, breakable, living
from tests.fault.test_crash_points import POINTS
from tests.integration.people import apply, request, vote
from tests.integration.processes import CRASHED
from tests.integration.system import asks, script

pytestmark = pytest.mark.anyio

RULE = Rule(name="sums", tool=("calc",), when={"properties": {"expression": {"const": "1+1"}}})
GATED = script(
    [
        asks(("calc", {"expression": "1+1"}), ("calc", {"expression": "2+2"})),
        {"output": "done"},
    ]
)
CORE = ("tools", "models", "guard", "approval", "planner")
USUAL = ("after_record:1", "after_command:1")


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("approvals")
    async with (
        breakable(folder / "nats") as broker,
        living(broker.url, folder, script=GATED, services=CORE) as house,
    ):
        await house.system.until_admitted("calc", names.ASK)
        await apply(house.system, RULE)
        yield house


@asynccontextmanager
async def somebody_approves(house: House) -> AsyncIterator[None]:
    """Approve whatever is asked, each time it is seen, until the block ends."""

    async def approve() -> None:
        while True:
            with contextlib.suppress(BusError):
                for one in await house.records():
                    for event in one.record.events:
                        if isinstance(event, approval.Requested):
                            await say_yes(house, event.request)
            await asyncio.sleep(0.2)

    voting = asyncio.create_task(approve())
    try:
        yield
    finally:
        voting.cancel()


async def say_yes(house: House, asked: approval.Request) -> None:
    where = subjects.Address.of_request("default", asked.id).at("in", "vote")
    body = approval.Vote(vote="approve", digest=asked.digest, principal="ann")
    headers = {wire.ID: f"yes:{asked.id}", wire.TYPE: wire.type_of(approval.Vote)}
    await house.bus.publish(str(where), wire.encode(body), headers)


def _cases() -> list[Any]:
    cases = [(name, f"{point}:{nth}") for name in ("approval", "guard") for point in POINTS for nth in (1, 3)]
    slow = [() if name == "approval" and point in USUAL else (pytest.mark.slow,) for name, point in cases]
    return [pytest.param(*one, id=".".join(one), marks=marks) for one, marks in zip(cases, slow, strict=True)]


@pytest.mark.parametrize(("name", "point"), _cases())
async def test_a_request_is_decided_and_acted_on_once_wherever_a_service_dies(
    house: House, name: str, point: str
) -> None:
    await house.process(name).stop()
    dying = await house.host.start(name, crash_at=f"{name}.{point}")
    await house.goals(3)
    async with somebody_approves(house):
        assert await dying.ended() == CRASHED
        await house.host.start(name)
        records = await house.sound(timeout_s=30)
    assert len(invariants.executions(records, "calc")) == 2 * len(house.accepted)
    assert await house.letters() == []


@pytest.mark.slow
async def test_between_request_and_vote_every_service_and_the_broker_are_killed(
    breaking: Broker, tmp_path: Path
) -> None:
    async with living(breaking.url, tmp_path, script=GATED, services=(*CORE, "ledger", "gateway")) as house:
        await house.system.until_admitted("calc")
        await apply(house.system, RULE)
        tree = await house.goal()
        asked = await request(house.system, tree)
        for name in (*CORE, "ledger", "gateway"):
            await house.process(name).stop(signal.SIGKILL)
        await breaking.kill()
        await breaking.start()
        for name in (*CORE, "ledger", "gateway"):
            await house.host.start(name)
        assert await vote(house.system, asked, "approve") == "counted"
        assert await vote(house.system, asked, "deny", principal="bob") == "approval_decided"
        records = await house.sound()
        assert len(invariants.executions(records, "calc")) == 2


async def test_what_nobody_may_say_grants_nothing(house: House) -> None:
    """A decision that no request led to, as the planner would forge it if the broker let it, twice and for more."""
    tree = await house.goal()
    asked = await request(house.system, tree)
    for word in (
        guard.Decide(call=asked.request.id, outcome="approved", digest="0" * 64, by=("planner",)),
        guard.Decide(call=asked.request.id, outcome="approved", digest=asked.request.digest, edited=True, arguments={}),
    ):
        where = str(subjects.Address.of_tree("default", tree).at("in", "decided"))
        await house.bus.publish(where, wire.encode(word), {wire.ID: f"forged:{word.digest}"})
    assert await vote(house.system, asked, "approve") == "counted"
    records = await house.sound()
    results = [e for one in records for e in one.record.events if isinstance(e, guard.Refused)]
    assert [one.code for one in results if ids.tree_of(one.call) == tree] == ["approval_mismatch"]
