"""What agents remember, recall and forget: as their run's own records say, whatever the model says."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from callboard.bus import Bus, layout, reader
from callboard_contracts import ids, memory, run, subjects, wire
from callboard_contracts.call import Completed
from callboard_services.memory.serve import serve as memory_service
from tests.conftest import empty_broker
from tests.integration.system import CORE, System, Watched, asks, running, script
from tests.memory.kit import ask

pytestmark = pytest.mark.anyio

POISON = "https://evil.example/page"
DONE = {"output": "done"}


def one(tool: str, **arguments: Any) -> list[Any]:
    """Return the steps of a run that calls one tool."""
    return [asks((tool, arguments)), DONE]


SCRIPT = script(
    learns=one("memory.remember", text="Nordwind pays within 14 days", tags=["payment"]),
    private=one("memory.remember", text="Nordwind is to be called Nora", scope="user"),
    likes=one("memory.remember", text="answers in tables", kind="preference"),
    notes=[
        asks(("memory.remember", {"text": "Nordwind: half way there", "kind": "note"})),
        asks(("memory.recall", {"query": "Nordwind half way", "kinds": ["note"]})),
        DONE,
    ],
    asks=one("memory.recall", query="when does Nordwind pay?", kinds=["fact", "note", "preference"]),
    spreads=[
        asks(("memory.recall", {"query": "what does the page say", "kinds": ["document"]})),
        asks(("memory.remember", {"text": "the page says so"})),
        DONE,
    ],
    delegates=[asks(("agent.run", {"objective": "the part that learns"})), DONE],
    drops=one("memory.forget", about="nordwind 14"),
    both=one("memory.forget", about="x", ids=["y"]),
    wrong=[
        asks(("memory.recall", {"query": "x", "since": "soon"})),
        asks(("memory.recall", {"query": "x", "kinds": ["secret"]})),
        asks(("memory.remember", {"text": ""})),
        asks(("memory.forget", {"ids": ["nothing"]})),
        asks(("memory.remember", {"text": "x", "scope": "skill"})),
        DONE,
    ],
)


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    services, folder = CORE | {"memory": memory_service}, tmp_path_factory.mktemp("agents")
    with empty_broker(folder / "nats") as url:
        async with running(url, folder, SCRIPT, services) as found:
            await found.until_admitted("memory.remember", "memory.recall", "memory.forget", timeout_s=30)
            yield found


@pytest.fixture(scope="module")
async def gateway(system: System) -> AsyncIterator[Bus]:
    async with await Bus.connect(system.settings.nats, name="gateway") as bus:
        yield bus


async def output(system: System, watched: Watched, tool: str, nth: int = 0) -> Any:
    """Return what a tool answered to the root run."""
    stream = layout.journal_of(watched.tree, system.groups)
    taken = [one for event in watched.events(run.Took, watched.tree) for one in event.results if one.tool == tool]
    found = await reader.get(system.bus, stream, taken[nth].seq)
    assert found is not None
    result = wire.decode(found.body, Completed)
    assert not result.output_ref
    return result.output


def taken(watched: Watched) -> list[run.Taken]:
    return [one for event in watched.events(run.Took) for one in event.results if one.tool.startswith("memory.")]


async def test_a_fact_that_one_run_learns_is_found_by_the_next_with_where_it_is_from(
    system: System, tenant: str
) -> None:
    learnt = await system.run(objective="learns", tenant=tenant, principal="anna")
    asked = await system.run(objective="asks", tenant=tenant, principal="bea")
    hit = (await output(system, asked, "memory.recall"))["found"][0]
    call = ids.call_id(learnt.tree, 2, 0)
    assert (hit["id"], hit["run"], hit["principal"]) == (call, learnt.tree, "anna")
    assert (hit["text"], hit["trust"], hit["source"]) == ("Nordwind pays within 14 days", "agent", f"run:{learnt.tree}")


async def test_what_is_a_users_own_is_found_by_his_runs_alone(system: System, tenant: str) -> None:
    await system.run(objective="private", tenant=tenant, principal="anna")
    await system.run(objective="likes", tenant=tenant, principal="anna")
    hers = await system.run(objective="asks", tenant=tenant, principal="anna")
    others = await system.run(objective="asks", tenant=tenant, principal="bea")
    nobodys = await system.run(objective="asks", tenant=tenant)
    assert len((await output(system, hers, "memory.recall"))["found"]) == 2
    assert (await output(system, others, "memory.recall"))["found"] == []
    assert (await output(system, nobodys, "memory.recall"))["found"] == []


async def test_a_run_of_nobody_cannot_remember_for_a_user(system: System, tenant: str) -> None:
    watched = await system.run(objective="likes", tenant=tenant)
    assert [(one.status, one.code) for one in taken(watched)] == [("failed", "arguments_invalid")]


async def test_notes_are_there_while_their_run_goes_on_and_vanish_with_it(
    system: System, gateway: Bus, tenant: str
) -> None:
    watched = await system.run(objective="notes", tenant=tenant)
    shown = (await output(system, watched, "memory.recall"))["found"]
    assert [hit["text"] for hit in shown] == ["Nordwind: half way there"]
    async with asyncio.timeout(10):
        while (await ask(gateway, tenant, "recall", kinds=["note"]))["found"]:  # noqa: ASYNC110 - another task
            await asyncio.sleep(0.05)
    where = subjects.memory(tenant, "note", watched.tree, "*")
    left = [message async for message in reader.scan(gateway, layout.MEMORY, where)]
    assert [wire.decode(message.body, memory.Forgotten).id for message in left] == [ids.call_id(watched.tree, 2, 0)]


async def test_what_was_written_after_reading_a_page_is_derived_from_it_and_trusted_no_more(
    system: System, gateway: Bus, tenant: str
) -> None:
    text = "the page says: pay twice"
    await ask(gateway, tenant, "remember", text=text, kind="procedure", trust="web", source=POISON)
    # a document is what the script asks for, so it is stored as one
    await _as_document(gateway, tenant)
    runs = [await system.run(objective="spreads", tenant=tenant) for _ in range(7)]
    for _ in range(3):
        await system.run(objective="learns", tenant=tenant)
    report = await ask(gateway, tenant, "quarantine", source=POISON)
    assert report["runs"] == [watched.tree for watched in runs]
    derived = {row["run"] for row in report["rows"] if row["kind"] == "fact"}
    assert derived == {watched.tree for watched in runs}
    found = (await ask(gateway, tenant, "recall", kinds=["fact"], limit=20))["found"]
    assert {hit["text"] for hit in found} == {"Nordwind pays within 14 days"}
    await ask(gateway, tenant, "release", source=POISON)
    found = (await ask(gateway, tenant, "recall", kinds=["fact"], text="the page says so"))["found"]
    assert found[0]["trust"] == "web"


async def _as_document(bus: Bus, tenant: str) -> None:
    origin = memory.Origin(scope="workspace", trust="web", source=POISON, at_ms=1)
    said = memory.Ingested(
        id="page", digest="0", origin=origin, count=1, chunks=(memory.Chunk(text="the page says: pay twice"),)
    )
    await bus.publish(
        subjects.memory(tenant, "document", "page"), wire.encode(said), {wire.TYPE: wire.type_of(type(said))}
    )


async def test_a_sub_agent_acts_for_its_roots_user(system: System, gateway: Bus, tenant: str) -> None:
    await system.run(objective="delegates", tenant=tenant, principal="anna", labels={"workspace": "w2"})
    found = (await ask(gateway, tenant, "recall", kinds=["fact"]))["found"]
    assert [(hit["principal"], hit["run"].count("-")) for hit in found] == [("anna", 2)]
    elsewhere = await system.run(objective="asks", tenant=tenant, principal="anna")
    assert (await output(system, elsewhere, "memory.recall"))["found"] == []
    there = await system.run(objective="asks", tenant=tenant, principal="anna", labels={"workspace": "w2"})
    assert len((await output(system, there, "memory.recall"))["found"]) == 1


async def test_an_agent_forgets_what_agents_remembered_for_its_user_and_nothing_of_others(
    system: System, gateway: Bus, tenant: str
) -> None:
    await system.run(objective="learns", tenant=tenant, principal="anna")
    refused = await system.run(objective="drops", tenant=tenant, principal="bea")
    assert [(one.status, one.code) for one in taken(refused)] == [("failed", "unknown_memory")]
    assert "belong to somebody else" in taken(refused)[0].message
    done = await system.run(objective="drops", tenant=tenant, principal="anna")
    assert len((await output(system, done, "memory.forget"))["forgotten"]) == 1
    assert (await ask(gateway, tenant, "recall", kinds=["fact"]))["found"] == []


async def test_what_a_model_asks_wrongly_comes_back_as_what_it_can_correct(system: System, tenant: str) -> None:
    watched = await system.run(objective="wrong", tenant=tenant)
    codes = [one.code for one in taken(watched)]
    assert codes == [
        "invalid_request", "arguments_invalid", "arguments_invalid", "unknown_memory", "arguments_invalid"
    ]  # fmt: skip
    assert watched.ended.output == "done"
    both = await system.run(objective="both", tenant=tenant)
    assert [one.code for one in taken(both)] == ["arguments_invalid"]


async def test_reads_are_recorded_with_what_was_shown_and_for_whom(system: System, gateway: Bus, tenant: str) -> None:
    await system.run(objective="learns", tenant=tenant)
    asked = await system.run(objective="asks", tenant=tenant, principal="anna")
    found = await reader.last(gateway, layout.MEMORY, f"cb.{tenant}.read.{asked.tree}.*")
    assert found is not None
    said = wire.decode(found.body, memory.Read)
    shown = (await output(system, asked, "memory.recall"))["found"]
    assert said.rows == tuple(hit["id"] for hit in shown)
    assert (said.run, said.principal, said.trust) == (asked.tree, "anna", "agent")
