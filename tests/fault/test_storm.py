"""Sub-agents by the dozen: the budget of the tree holds at every record, and a model that only spawns is stopped."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from callboard.bus import layout, reader
from callboard_contracts import guard, ids, run, wire
from callboard_contracts.goal import Limits, Submit
from tests.fault import invariants
from tests.fault.house import Broker, House, living, priced
from tests.fault.invariants import Purse, Stored
from tests.integration.system import GROUPS, asks, new_id, running, script

pytestmark = pytest.mark.anyio

AGENTS = 50
INPUT, OUTPUT = 1_000, 3_700
ASKED, PAID = 25_000, (INPUT * 3 + OUTPUT * 12) // 2
"""Micro-USD that a question is granted at, about (4,096 tokens of answer at 6, the prompt at 1.5), and its price."""
HALF = Limits(budget_micro_usd=AGENTS * ASKED // 2)
MOST = AGENTS * ASKED // 2 // PAID
"""How many can be paid. Whoever comes while all is reserved gets nothing, though some of it is released later."""
RACE = script(
    [asks(*[("agent.run", {"objective": "a part"})] * AGENTS), {"output": "all asked"}],
    part=[{"delay_s": 0.3, "output": "a part", "tokens": {"input": INPUT, "output": OUTPUT}}],
)
SPAWN = script([asks(*[("agent.run", {"objective": "spawn"})] * 4)] * 20)


def purse_of(records: list[Stored], tree: str) -> Purse:
    """Fold a tree's money, and assert at every record that it was enough."""
    purse = Purse()
    for one in records:
        if one.subject.address.actor == "tree" and one.subject.address.tree == tree:
            assert list(purse.follow([one])) == []
            assert purse.limit is not None
            assert purse.used <= purse.limit, f"record {one.seq}"
    return purse


def endings(records: list[Stored]) -> dict[str, run.Ended]:
    """Return how each run ended."""
    return {one.run: event for one in records for event in one.record.events if isinstance(event, run.Ended)}


def refusals(records: list[Stored]) -> Counter[str]:
    """Return how many calls were refused, by code."""
    return Counter(e.code for one in records for e in one.record.events if isinstance(e, guard.Refused))


def assert_the_race_was_fair(records: list[Stored], tree: str) -> None:
    """About half had their question granted, the others were told why not, and all of it is settled."""
    purse, ends = purse_of(records, tree), endings(records)
    assert purse.reserved == {}
    del ends[tree]
    told = Counter((one.status, one.code) for one in ends.values())
    assert set(told) == {("completed", ""), ("failed", "money_budget")}
    assert told.total() == AGENTS
    assert MOST - 5 <= told["completed", ""] <= MOST
    assert refusals(records)["money_budget"] >= AGENTS - MOST
    assert purse.committed >= told["completed", ""] * PAID


async def most_often_sent(house: House) -> int:
    """Return how often the same input was stored: a turn that is taken up again sends its commands again, once."""
    stored = [
        one.stored_subject + one.headers.get(wire.ID, "")
        for group in range(house.system.groups)
        async for one in reader.scan(house.bus, layout.journal(group), "cb.*.run.*.*.*.in.result")
    ]
    return max(Counter(stored).values())


@pytest.mark.parametrize("killed", ["nobody", pytest.param("guard", marks=pytest.mark.slow)])
async def test_fifty_sub_agents_that_ask_at_once_share_a_budget_for_half_of_them(
    breaking: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    """Also when one of two guards is killed in the middle: the other goes on with what it had reserved."""
    priced(tmp_path, monkeypatch)
    services = ("tools", "models", "planner", "guard", "guard")
    async with living(breaking.url, tmp_path, script=RACE, services=services) as house:
        trees = await house.goals(1 if killed == "nobody" else 4, objective="share", limits=HALF)
        if killed == "guard":
            async with asyncio.timeout(30):
                while len(await house.records()) < 4 * AGENTS:  # noqa: ASYNC110 - the journal tells by being asked
                    await asyncio.sleep(0.02)
            await house.process("guard").stop(signal.SIGKILL)
        records = await house.sound(timeout_s=90)
        assert await most_often_sent(house) <= 10
        for tree in trees:
            assert_the_race_was_fair([one for one in records if one.subject.address.tree == tree], tree)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        pytest.param(Limits(max_depth=2, max_runs=60), "depth_budget", id="depth", marks=pytest.mark.slow),
        pytest.param(Limits(max_depth=100, max_runs=12), "run_budget", id="runs", marks=pytest.mark.slow),
        pytest.param(Limits(max_depth=100, max_calls=40), "call_budget", id="calls"),
        pytest.param(Limits(), "call_budget", id="as-shipped", marks=pytest.mark.slow),
    ],
)
async def test_a_model_that_always_spawns_is_stopped_by_the_name_of_the_limit(
    fresh_broker: str, tmp_path: Path, limits: Limits, named: str
) -> None:
    async with running(fresh_broker, tmp_path, SPAWN) as system:
        goal = Submit(id=new_id(), objective="spawn", limits=limits)
        watched = system.watch(goal.id)
        await system.publish(goal)
        await system.ended(goal.id, 60)
        await system.closed(watched, 30)
        records = await invariants.stored(system.bus, GROUPS)
        assert invariants.violations(records, [goal.id]) == []
        ends, events = endings(records), [event for one in records for event in one.record.events]
        assert len(ends) <= limits.max_runs
        assert max(ids.depth_of(name) for name in ends) <= limits.max_depth
        assert sum(isinstance(event, guard.Granted) for event in events) <= limits.max_calls
        assert refusals(records)[named]
        assert all(one.status == "failed" and one.code and one.reason for one in ends.values())
