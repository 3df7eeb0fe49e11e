"""With the real planner and guard: a goal whose run was archived and purged is never started again."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from callboard.bus import Bus, layout, reader
from callboard.client import Client, Goal
from callboard.service import Context
from callboard_contracts import guard, names, wire
from callboard_contracts.goal import Submit
from callboard_services.gateway.serve import serve as gateway
from callboard_services.ledger.serve import serve as ledger
from tests.conftest import empty_broker
from tests.integration.system import CORE, System, asks, free_port, new_id, running, script
from tests.ledger.archive import GROUPS, SOON, eventually, in_files, in_journal

SCRIPT = script(
    [asks(("calc", {"expression": "6*7"})), {"output": 42}],
    delegate=[asks(("agent.run", {"objective": "add"})), {"output": 42}],
)
CONTRACT = {"type": "integer"}


async def soon(context: Context) -> None:
    """Serve a ledger that archives at once."""
    await ledger(replace(context, settings=msgspec.structs.replace(context.settings, retention_s=SOON)))


class Site:
    """The system, and a client over HTTP."""

    def __init__(self, system: System, http: str, data: Path) -> None:
        self.system = system
        self.bus: Bus = system.bus
        self.url = f"http://{http}"
        self.archive = data / "archive"

    async def done(self, run: str) -> None:
        """Wait until a tree is archived and has left the journal."""

        async def gone() -> bool:
            found = await in_journal(self.bus, run)
            return bool(found) and not any(".in." in subject for _, subject, _ in found)

        await eventually(gone)

    async def quiet(self) -> None:
        """Wait until the planners have acknowledged everything that is for them."""

        async def idle() -> bool:
            for stream in (layout.GOALS, *(layout.journal(group) for group in range(GROUPS))):
                durables = (await self.bus.api(f"CONSUMER.NAMES.{stream}"))["consumers"]
                for durable in (name for name in durables if name.startswith("planner")):
                    info = await self.bus.api(f"CONSUMER.INFO.{stream}.{durable}")
                    if info["num_pending"] or info["num_ack_pending"]:
                        return False
            return True

        await eventually(idle)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    http = f"127.0.0.1:{free_port()}"
    services = CORE | {"ledger": soon, "gateway": gateway}
    with empty_broker(tmp_path / "nats") as url:
        async with running(url, tmp_path, SCRIPT, services, http=http) as system:
            await system.until_admitted("calc", names.AGENT)
            yield Site(system, http, tmp_path)


async def dead(bus: Bus) -> list[str]:
    """Return the codes of all dead letters."""
    letters = reader.scan(bus, layout.DEAD, "cb.default.dead.*")
    return [str(msgspec.json.decode(letter.body)["code"]) async for letter in letters]


async def test_a_goal_that_is_published_again_after_its_run_was_archived_starts_nothing(site: Site) -> None:
    goal = Submit(id=new_id(), objective="Add.", contract=CONTRACT)
    site.system.watch(goal.id)
    await site.system.publish(goal)
    ended = (await site.system.ended(goal.id)).ended
    assert ended.status == "completed", ended
    await site.done(goal.id)
    left = await in_journal(site.bus, goal.id)
    assert {subject.split(".", 7)[7] for _, subject, _ in left} == {"ended", "closed"}
    await site.system.publish(goal)
    await site.quiet()
    assert await in_journal(site.bus, goal.id) == left
    assert await dead(site.bus) == []
    await site.system.publish(msgspec.structs.replace(goal, objective="Something else."))
    await site.quiet()
    assert await in_journal(site.bus, goal.id) == left
    assert await dead(site.bus) == ["conflict"]


async def test_over_http_an_archived_goal_answers_with_its_run_and_another_is_a_conflict(site: Site) -> None:
    goal = Goal(id=new_id(), objective="Please delegate this.", contract=CONTRACT)
    async with Client(site.url) as client:
        taken = await client.submit(goal)
        told = [event async for event in client.events(taken.run)]
        before = await client.get(taken.run)
        await site.done(goal.id)
        assert await client.submit(goal) == taken
        after = await client.get(taken.run)
        assert (after.status, after.output, after.more["archived"]) == ("completed", 42, True)
        assert after.more["tree_totals"]["calls"] == before.more["tree_totals"]["calls"] > 3
        assert [event async for event in client.events(taken.run)] == told
        with pytest.raises(Exception, match="used for another goal"):
            await client.submit(msgspec.structs.replace(goal, objective="Something else."))
    await site.quiet()
    assert await dead(site.bus) == []
    assert len(in_files(site.archive, goal.id)) > len(await in_journal(site.bus, goal.id))


async def test_results_and_words_of_control_that_come_after_the_archive_start_nothing(site: Site) -> None:
    goal = Submit(id=new_id(), objective="Add.", contract=CONTRACT)
    watched = site.system.watch(goal.id)
    await site.system.publish(goal)
    await site.system.ended(goal.id)
    await site.done(goal.id)
    left = [seq for seq, _, _ in await in_journal(site.bus, goal.id)]
    first = await reader.following(site.bus, layout.journal_of(goal.id, GROUPS), f"cb.default.run.*.{goal.id}.>", 1)
    assert first is not None
    granted = watched.events(guard.Granted)
    assert len(granted) == 3
    for call in (event.call.id for event in granted):
        await site.bus.publish(
            f"cb.default.run.{first.stored_subject.split('.')[3]}.{goal.id}.{goal.id}.in.result",
            b'{"type":"call.completed.v1","call":"%s"}' % call.encode(),
            {wire.ID: call},
        )
    await site.quiet()
    records = [seq for seq, subject, _ in await in_journal(site.bus, goal.id) if ".log." in subject]
    assert records == left
