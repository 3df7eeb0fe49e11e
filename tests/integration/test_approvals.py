"""Approval end to end: what a rule concerns waits for a person, however long, and then runs once or not at all."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from callboard_contracts import approval, guard, run
from callboard_contracts.goal import Limits, Submit
from callboard_contracts.policy import Rule
from tests.conftest import empty_broker
from tests.integration.people import LARGE, Till, apply, request, vote
from tests.integration.stage import WHOLE, client_of, journal, recorded
from tests.integration.system import System, asks, free_port, new_id, running, script

pytestmark = pytest.mark.anyio


def pay(amount: int) -> dict[str, Any]:
    return asks(("pay", {"amount": amount}))


SCRIPT = script(
    small=[pay(20), {"output": {"$result": 0}}],
    large=[pay(80), {"output": "done"}],
    both=[asks(("pay", {"amount": 80}), ("pay", {"amount": 20})), {"output": "done"}],
    question=[
        asks(("human.ask", {"question": "Which colour?", "choices": ["red", "blue"]})),
        {"output": {"$result": 0}},
    ],
    bulky=[asks(("pay", {"amount": 80, "note": "x" * 40_000})), {"output": "done"}],
    parent=[asks(("agent.run", {"objective": "large", "timeout_s": 2})), {"output": "done"}],
)


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[System, Till]]:
    till, http = Till(), f"127.0.0.1:{free_port()}"
    with empty_broker(tmp_path_factory.mktemp("nats")) as url:
        async with (
            running(url, tmp_path_factory.mktemp("data"), SCRIPT, WHOLE, http=http) as system,
            till.serve(url),
        ):
            await system.until_admitted("pay", "human.ask")
            await apply(system, LARGE)
            yield system, till


@pytest.fixture
def system(house: tuple[System, Till]) -> System:
    return house[0]


@pytest.fixture
def till(house: tuple[System, Till]) -> Till:
    return house[1]


async def begun(system: System, objective: str, **more: Any) -> str:
    goal = Submit(id=new_id(), objective=objective, **({"contract": {"title": "anything"}} | more))
    system.watch(goal.id)
    await system.publish(goal)
    return goal.id


async def test_a_small_payment_needs_nobody(system: System) -> None:
    ended = (await system.ended(await begun(system, "small"))).ended
    assert (ended.status, ended.output) == ("completed", "paid 20")


async def test_a_large_payment_is_made_when_a_person_approved_it(system: System, till: Till) -> None:
    tree = await begun(system, "large")
    asked = await request(system, tree)
    assert (asked.objective, asked.request.arguments, asked.request.rule.name) == ("large", {"amount": 80}, "large")
    assert asked.request.id not in till.paid
    assert await vote(system, asked, "approve") == "counted"
    assert (await system.ended(tree)).ended.status == "completed"
    assert till.paid[asked.request.id] == 80
    granted = [seen.event for seen in await journal(system, tree) if isinstance(seen.event, guard.Granted)]
    assert [one.approved_by for one in granted if one.call.tool == "pay"] == [("ann",)]


async def test_a_second_vote_and_a_late_one_are_refused_and_change_nothing(system: System, till: Till) -> None:
    tree = await begun(system, "large")
    asked = await request(system, tree)
    assert await vote(system, asked, "approve", digest="0" * 64) == "approval_changed"
    assert await vote(system, asked, "deny", reason="too much") == "counted"
    assert await vote(system, asked, "approve", principal="bob") == "approval_decided"
    assert (await system.ended(tree)).ended.status == "completed"
    assert asked.request.id not in till.paid
    taken = [
        one for seen in await journal(system, tree) if isinstance(seen.event, run.Took) for one in seen.event.results
    ]
    assert [one.message for one in taken if one.code == "approval_denied"] == [
        "A person denied the call: denied by ann: too much"
    ]


async def test_what_a_person_changed_is_what_runs(system: System, till: Till) -> None:
    tree = await begun(system, "large")
    asked = await request(system, tree)
    assert await vote(system, asked, "edit", arguments={"amount": "all"}, cause="bad") == "arguments_invalid"
    assert await vote(system, asked, "edit", arguments={"amount": 60}) == "counted"
    assert (await system.ended(tree)).ended.status == "completed"
    assert till.paid[asked.request.id] == 60
    told = [seen.event.text for seen in await journal(system, tree) if isinstance(seen.event, run.Steered)]
    assert ['{"amount":60}' in text for text in told] == [True]


async def test_the_other_calls_of_the_turn_do_not_wait(system: System, till: Till) -> None:
    tree = await begun(system, "both")
    asked = await request(system, tree)
    small = asked.request.id.removesuffix("-0") + "-1"
    await till.was_paid(small)
    assert asked.request.id not in till.paid
    await vote(system, asked, "approve")
    assert (await system.ended(tree)).ended.status == "completed"


async def test_the_answer_to_a_question_is_a_result_that_the_model_reads(system: System) -> None:
    tree = await begun(system, "question")
    asked = await request(system, tree)
    assert await vote(system, asked, "answer", answer="green", cause="green") == "vote_invalid"
    assert await vote(system, asked, "answer", answer="blue") == "counted"
    assert (await system.ended(tree)).ended.output == {"answer": "blue", "by": "ann"}


async def test_arguments_that_are_kept_elsewhere_are_held_and_approved_by_their_digest(
    system: System, till: Till
) -> None:
    tree = await begun(system, "bulky")
    asked = await request(system, tree)
    assert (asked.request.arguments, len(asked.request.arguments_ref)) == (None, 64)
    assert await vote(system, asked, "approve") == "counted"
    assert (await system.ended(tree)).ended.status == "completed"
    assert till.paid[asked.request.id] == 80


async def test_a_sub_agent_that_a_rule_concerns_begins_when_a_person_approved_it(system: System) -> None:
    await apply(system, Rule(name="agents", tool=("agent.run",)), name="agents")
    tree = await begun(system, "parent")
    asked = await request(system, tree)
    await apply(system, name="agents")
    assert asked.request.tool == "agent.run"
    assert await vote(system, asked, "approve") == "counted"
    refused = (await recorded(system, tree, guard.Refused)).event
    assert refused.code == "approval_mismatch", "the rule is gone, and with it what was approved"
    await apply(system, Rule(name="agents", tool=("agent.run",)), name="agents")
    tree = await begun(system, "parent")
    edited = {"objective": "small", "timeout_s": 30}
    assert await vote(system, await request(system, tree), "edit", arguments=edited) == "counted"
    assert (await system.ended(tree)).ended.status == "completed"
    await apply(system, name="agents")
    goals = [seen.event.goal for seen in await journal(system, tree) if isinstance(seen.event, run.Accepted)]
    assert [goal.objective for goal in goals] == ["parent", "small"]


async def test_a_run_outlives_its_own_time_and_its_calls_while_a_person_decides(system: System, till: Till) -> None:
    """The run has 2 s, its sub-agent 2 s, the call 5 s; the person takes 3 s."""
    tree = await begun(system, "parent", limits=Limits(timeout_s=2.0))
    asked = await request(system, tree)
    await asyncio.sleep(3)
    assert await vote(system, asked, "approve") == "counted"
    assert (await system.ended(tree)).ended.status == "completed"
    assert till.paid[asked.request.id] == 80


async def test_what_nobody_decides_expires_and_the_model_goes_on(system: System, till: Till) -> None:
    await apply(system, msgspec.structs.replace(LARGE, expires_s=0.5))
    tree = await begun(system, "large")
    asked = await request(system, tree)
    assert (await system.ended(tree)).ended.status == "completed"
    await apply(system, LARGE)
    decided = (await recorded(system, tree, approval.Decided)).event
    assert (decided.outcome, decided.by) == ("expired", ())
    assert asked.request.id not in till.paid
    assert await vote(system, asked, "approve") == "approval_expired"


async def test_a_rule_may_end_the_run_when_nobody_decides(system: System) -> None:
    await apply(system, msgspec.structs.replace(LARGE, expires_s=0.5, on_expiry="fail"))
    tree = await begun(system, "large")
    ended = (await system.ended(tree)).ended
    await apply(system, LARGE)
    assert (ended.status, ended.code) == ("failed", "approval_expired")


async def test_a_rule_that_changed_meanwhile_makes_the_approval_worthless(system: System, till: Till) -> None:
    tree = await begun(system, "large")
    asked = await request(system, tree)
    await apply(system, msgspec.structs.replace(LARGE, quorum=2))
    await vote(system, asked, "approve")
    refused = (await recorded(system, tree, guard.Refused)).event
    await apply(system, LARGE)
    assert refused.code == "approval_mismatch"
    assert asked.request.id not in till.paid


async def test_a_cancelled_run_takes_its_request_back(system: System, till: Till) -> None:
    tree = await begun(system, "parent")
    asked = await request(system, tree)
    async with client_of(system) as client:
        await client.cancel(tree)
    assert (await recorded(system, tree, approval.Decided)).event.outcome == "withdrawn"
    assert (await system.ended(tree)).ended.status == "cancelled"
    assert await vote(system, asked, "approve") == "approval_decided"
    assert asked.request.id not in till.paid


async def test_what_was_approved_during_a_pause_runs_when_the_run_is_resumed(system: System, till: Till) -> None:
    tree = await begun(system, "large")
    asked = await request(system, tree)
    async with client_of(system) as client:
        await client.pause(tree)
        await recorded(system, tree, guard.Paused)
        await vote(system, asked, "approve")
        await recorded(system, tree, guard.Postponed)
        assert asked.request.id not in till.paid
        await client.resume(tree)
    assert (await system.ended(tree)).ended.status == "completed"
    assert till.paid[asked.request.id] == 80
