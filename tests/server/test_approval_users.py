"""Who may decide: votes come through the gateway alone, decisions from the approval service, rules from people."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.server.users import GROUPS, TENANT, everyone

from callboard.bus import Bus, layout, reader
from callboard.bus.registry import POLICIES, Registry, put_policy
from callboard.bus.users import users
from callboard_contracts import approval, guard, subjects, wire
from callboard_contracts.call import Completed
from callboard_contracts.policy import Policy, Rule

TREE = "01K0000000000000000000000A"
CALL = f"{TREE}-1-0"
JOURNAL = layout.journal_of(TREE, GROUPS)
REQUEST = subjects.Address.of_request(TENANT, CALL)
VOTE = str(REQUEST.at("in", "vote"))
DECIDED = str(subjects.Address.of_tree(TENANT, TREE).at("in", "decided"))
ANSWER = str(subjects.Address.of_run(TENANT, TREE).at("in", "answer"))
YES = wire.encode(approval.Vote(vote="approve", digest="0" * 64, principal="ann", groups=("finance",)))
APPROVED = wire.encode(guard.Decide(call=CALL, outcome="approved", digest="0" * 64, by=("ann",)))
EVERYBODY = [user.name for user in users() if user.name != "operator"] + [""]


@pytest.fixture(scope="module")
async def bus_of(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Bus]]:
    async with everyone(tmp_path_factory.mktemp("users")) as found:
        yield found


async def said(bus_of: dict[str, Bus], name: str, subject: str, body: bytes) -> bool:
    """Let a user publish, and tell whether it was stored."""
    operator = bus_of["operator"]
    stream = f"KV_{layout.REGISTRY}" if subject.startswith("$KV") else JOURNAL
    before = await reader.last(operator, stream, subject)
    bus_of[name].send(subject, body)
    await bus_of[name].flush()
    await asyncio.sleep(0.05)
    after = await reader.last(operator, stream, subject)
    return after is not None and (before is None or after.seq > before.seq)


@pytest.mark.parametrize("name", EVERYBODY)
async def test_only_the_gateway_votes(bus_of: dict[str, Bus], name: str) -> None:
    assert await said(bus_of, name, VOTE, YES) == (name == "gateway")


@pytest.mark.parametrize("name", EVERYBODY)
async def test_only_the_approval_service_tells_the_guard_what_was_decided(bus_of: dict[str, Bus], name: str) -> None:
    assert await said(bus_of, name, DECIDED, APPROVED) == (name == "approval")
    assert await said(bus_of, name, str(REQUEST.at("log", "decided")), APPROVED) == (name == "approval")


@pytest.mark.parametrize("name", EVERYBODY)
async def test_only_the_guard_gives_a_run_a_persons_answer(bus_of: dict[str, Bus], name: str) -> None:
    body = wire.encode(Completed(call=CALL, output={"answer": "yes", "by": "ann"}))
    assert await said(bus_of, name, ANSWER, body) == (name == "guard")


@pytest.mark.parametrize("name", EVERYBODY)
async def test_nobody_changes_the_rules_but_people_through_the_gateway(bus_of: dict[str, Bus], name: str) -> None:
    body = wire.encode(Policy(name="evil"))
    assert await said(bus_of, name, f"{POLICIES}.evil", body) == (name == "gateway")


async def test_a_policy_that_cannot_be_read_holds_every_call(bus_of: dict[str, Bus]) -> None:
    await bus_of["gateway"].publish(f"{POLICIES}.torn", b'{"type":"policy.policy.v1","name":"torn","rules":[{}]}')
    registry = Registry(bus_of["guard"])
    await registry.start()
    assert [(rule.name, rule.tool) for rule in registry.facts.policies["torn"].rules] == [("unreadable", ("*",))]
    await registry.stop()


async def test_a_rule_of_a_newer_version_still_holds(bus_of: dict[str, Bus]) -> None:
    newer = b'{"type":"policy.policy.v1","name":"newer","rules":[{"name":"a","tool":["pay"],"of_tomorrow":1}]}'
    await bus_of["gateway"].publish(f"{POLICIES}.newer", newer)
    registry = Registry(bus_of["guard"])
    await registry.start()
    assert registry.facts.policies["newer"].rules == (Rule(name="a", tool=("pay",)),)
    await registry.stop()


async def test_the_guard_hears_of_a_policy_at_once(bus_of: dict[str, Bus]) -> None:
    registry, heard = Registry(bus_of["guard"]), asyncio.Event()
    await registry.start()
    registry.changed.append(lambda _: heard.set())
    await put_policy(bus_of["gateway"], Policy(name="house", rules=(Rule(name="all"),)))
    async with asyncio.timeout(5):
        await heard.wait()
    assert registry.facts.policies["house"].rules[0].name == "all"
    await registry.stop()
