"""Control end to end: what a person says to a run holds, whatever the run is doing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callboard.client import Client, Goal
from callboard.testing.openai_server import OpenAIServer, Say
from callboard_contracts import guard, ids, run, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.goal import Limits, Submit
from callboard_services.planner.serve import serve as planner
from tests.conftest import empty_broker
from tests.integration.stage import WHOLE, Stage, client_of, journal, recorded
from tests.integration.system import CORE, GROUPS, System, _started, asks, free_port, new_id, running, script

pytestmark = pytest.mark.anyio


def gate(name: str) -> dict[str, Any]:
    return asks(("gate", {"name": name}))


def shaky(name: str) -> dict[str, Any]:
    return asks(("shaky", {"name": name}))


SCRIPT = script(
    [{"output": "hello"}],
    boundary=[gate("b1"), gate("b2"), {"output": "through"}],
    clocks=[gate("c1"), {"output": "in time"}],
    early=[gate("e1"), {"output": "begun"}],
    family=[asks(("agent.run", {"objective": "offspring"})), {"output": {"$result": 0}}],
    offspring=[gate("o1"), {"output": "grown"}],
    clan=[asks(("agent.run", {"objective": "cousin"}), ("agent.run", {"objective": "cousin"})), {"output": "no"}],
    cousin=[gate("slow"), {"output": "no"}],
    mends=[asks(("shaky", {"name": "m"}), ("gate", {"name": "m1"})), {"output": "mended"}],
    resumes=[
        asks(("files.write", {"path": "a.txt", "text": "kept"}), ("shaky", {"name": "held"})),
        {"give_up": "not today"},
    ],
    stuck=[shaky("stuck")] * 12,
    swings=[shaky("tick"), shaky("tock")] * 10,
)


@asynccontextmanager
async def staged(folder: Any, model: str = "", script_: Any = SCRIPT) -> AsyncIterator[tuple[System, Stage]]:
    stage = Stage()
    http = f"127.0.0.1:{free_port()}"
    with empty_broker(folder.mktemp("nats")) as url:
        async with (
            running(url, folder.mktemp("data"), script_, WHOLE, model=model, http=http) as system,
            stage.serve(url),
        ):
            await system.until_admitted("gate", "shaky")
            yield system, stage


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[System, Stage]]:
    async with staged(tmp_path_factory) as found:
        yield found


@pytest.fixture
def stage(house: tuple[System, Stage]) -> Stage:
    return house[1]


@pytest.fixture
def system(house: tuple[System, Stage]) -> System:
    return house[0]


@pytest.fixture
async def client(system: System) -> AsyncIterator[Client]:
    async with client_of(system) as found:
        yield found


async def test_a_pause_stops_at_the_next_step_and_a_resumption_goes_on(
    system: System, stage: Stage, client: Client
) -> None:
    started = (await client.submit(Goal(objective="boundary"))).run
    await stage.inside("b1")
    assert (await client.pause(started, reason="lunch")).changed
    await recorded(system, started, run.Paused)
    again = await client.pause(started)
    assert (again.changed, again.was) == (False, "paused")
    stage.open("b1", "b2")
    await recorded(system, started, run.Took, number=2)
    assert (await client.get(started)).status == "paused"
    assert started in [row.run for row in await client.runs(status="paused")]
    assert (await client.resume(started)).changed
    assert (await system.settled(started)).output == "through"
    seen = await journal(system, started)
    paused = next(one.seq for one in seen if isinstance(one.event, guard.Paused))
    resumed = next(one.seq for one in seen if isinstance(one.event, guard.Resumed))
    assert not [one for one in seen if isinstance(one.event, guard.Granted) and paused <= one.seq < resumed]
    assert [one.event.nth for one in seen if isinstance(one.event, run.Paused | run.Resumed)] == [1, 2]


async def test_the_clocks_of_a_paused_run_stand_still(system: System, stage: Stage, client: Client) -> None:
    started = (await client.submit(Goal(objective="clocks", limits={"timeout_s": 2}))).run
    await stage.inside("c1")
    await client.pause(started)
    await recorded(system, started, run.Paused)
    await asyncio.sleep(2.5)
    await client.resume(started)
    await recorded(system, started, run.Resumed)
    stage.open("c1")
    assert (await system.settled(started)).output == "in time"


async def test_a_goal_that_waits_can_be_paused_and_begins_nothing(system: System, stage: Stage, client: Client) -> None:
    name = new_id()
    where = subjects.Address.of_tree("default", name).at("in", "control")
    word = guard.Pause(run=name, principal="ada")
    await system.bus.publish(str(where), wire.encode(word), {wire.ID: f"pause:{name}:1"})
    await recorded(system, name, guard.Paused)
    await client.submit(Goal(objective="early", id=name))
    await recorded(system, name, run.Paused)
    assert not [one for one in await journal(system, name) if isinstance(one.event, guard.Granted)]
    told = await client.why(name)
    assert (told.status, told.chain[0]["waiting_for"]) == ("paused", "resume")
    assert "by ada" in told.chain[0]["sentence"]
    await client.resume(name)
    stage.open("e1")
    assert (await system.settled(name)).output == "begun"


async def test_a_pause_covers_a_sub_agent_that_begins_later(system: System, stage: Stage, client: Client) -> None:
    name = new_id()
    child = ids.call_id(name, 2, 0)
    where = subjects.Address.of_tree("default", name).at("in", "control")
    word = wire.encode(guard.Pause(run=child))
    await system.bus.publish(str(where), word, {wire.ID: f"pause:{child}:1"})
    await recorded(system, name, guard.Paused)
    await client.submit(Goal(objective="family", id=name))
    await recorded(system, name, run.Paused, run=child)
    granted = [one.event.call.tool for one in await journal(system, name) if isinstance(one.event, guard.Granted)]
    assert granted == ["model", "agent.run"]
    links = (await client.why(name)).chain
    assert [(link["run"], link["waiting_for"]) for link in links][:2] == [(name, "sub_agent"), (child, "resume")]
    paused = await client.pause(name)
    assert (paused.was, paused.changed) == ("running", True)
    await recorded(system, name, run.Paused, run=name)
    below = await client.resume(child)
    assert (below.changed, below.paused_above) == (True, name)
    assert (await client.resume(name)).changed
    stage.open("o1")
    assert (await system.settled(name)).output == "grown"


async def test_cancelling_a_tree_ends_every_descendant_that_works(system: System, stage: Stage, client: Client) -> None:
    started = (await client.submit(Goal(objective="clan"))).run
    await stage.inside("slow", 2)
    assert (await client.cancel(started, reason="enough")).changed
    names = (started, ids.call_id(started, 2, 0), ids.call_id(started, 2, 1))
    endings = [(await recorded(system, started, run.Ended, run=name)).event for name in names]
    assert [ended.status for ended in endings] == ["cancelled"] * 3
    told = await client.cancel(started)
    assert (told.changed, told.was) == (False, "cancelled")
    for verb in (client.pause, client.resume):
        with pytest.raises(CallboardError, match="is cancelled") as caught:
            await verb(started)
        assert caught.value.code == "not_live"
    await recorded(system, started, guard.Closed, number=3)


async def test_a_failed_call_of_a_live_run_is_made_again_with_the_same_arguments(
    system: System, stage: Stage, client: Client
) -> None:
    stage.failing.add("m")
    started = (await client.submit(Goal(objective="mends"))).run
    await stage.inside("m1")
    await recorded(system, started, run.Took, number=2)
    failed, gated = ids.call_id(started, 2, 0), ids.call_id(started, 2, 1)
    for call, code in ((gated, "not_failed"), (ids.call_id(started, 9, 0), "unknown_call"), ("x", "unknown_call")):
        with pytest.raises(CallboardError) as caught:
            await client.retry_call(started, call)
        assert caught.value.code == code
    with pytest.raises(CallboardError) as caught:
        await client.retry(started)
    assert caught.value.code == "not_ended"
    stage.failing.clear()
    await client.retry_call(started, failed)
    await stage.inside("m", 2)
    taken = await recorded(system, started, run.Took, number=3)
    assert [one.status for one in taken.event.results] == ["completed"]
    with pytest.raises(CallboardError, match="was made again") as caught:
        await client.retry_call(started, failed)
    assert caught.value.code == "not_failed"
    stage.open("m1")
    assert (await system.settled(started)).output == "mended"
    with pytest.raises(CallboardError) as caught:
        await client.retry_call(started, failed)
    assert caught.value.code == "not_live"


async def test_an_ended_run_is_taken_up_after_its_last_good_turn_as_a_new_one(system: System, client: Client) -> None:
    old = (await client.submit(Goal(objective="resumes", labels={"team": "x"}, contract={"type": "array"}))).run
    assert (await system.settled(old)).status == "unachievable"
    before = await journal(system, old)
    told = (await client.get(old)).more["outcome"]
    assert [call["tool"] for call in told["done"]] == ["files.write", "shaky"]
    changed = json.loads(json.dumps(SCRIPT))
    steps = next(one for one in changed["runs"] if one["match"] == "resumes")["steps"]
    steps[1:] = [asks(("files.read", {"path": "a.txt"})), {"output": [{"$result": 1}, {"$result": -1, "at": "/text"}]}]
    path = system.settings.data / "script.json"
    path.write_text(json.dumps(changed))
    try:
        taken = await client.retry(old)
        assert (taken.retry_of, taken.from_turn) == (old, 1)
        ended = await system.settled(taken.run)
    finally:
        path.write_text(json.dumps(SCRIPT))
    assert ended.output == ["held held", "kept"], ended
    found = await client.get(taken.run)
    assert (found.more["retry_of"], found.more["from_turn"], found.more["labels"]) == (old, 1, {"team": "x"})
    assert (await client.read_file(taken.run, "a.txt")) == b"kept"
    assert await journal(system, old) == before
    asked = [one.event for one in await journal(system, taken.run) if isinstance(one.event, run.Called)]
    assert [call.tool for called in asked for call in called.calls] == ["model", "files.read", "model"]
    assert (await client.retry(old, from_turn=1)).from_turn == 1
    for turn, code, told in ((2, "invalid_request", "taken up after: 1"), (3, "unknown_turn", "it has 2 turns")):
        with pytest.raises(CallboardError, match=told) as caught:
            await client.retry(old, from_turn=turn)
        assert caught.value.code == code
    anew = await client.retry(old, from_turn=0)
    assert (anew.from_turn, (await system.settled(anew.run)).status) == (0, "unachievable")


@pytest.mark.parametrize(
    ("objective", "reason"),
    [("stuck", "the same call failed 5 times: shaky"), ("swings", "two plans alternated 5 times: shaky, then shaky")],
)
async def test_a_run_that_goes_in_circles_ends_with_the_reason_named(
    system: System, stage: Stage, client: Client, objective: str, reason: str
) -> None:
    stage.failing.add("stuck")
    started = (await client.submit(Goal(objective=objective))).run
    ended = await system.settled(started)
    assert (ended.status, ended.code) == ("failed", "loop_detected")
    assert reason in ended.reason
    noted = [one.event.text for one in await journal(system, started) if isinstance(one.event, run.Noted)]
    assert len(noted) == 1
    assert "going in circles" in noted[0]


async def test_a_goal_that_nobody_takes_in_time_is_refused(tmp_path: Path) -> None:
    without = {name: serve for name, serve in CORE.items() if name != "planner"}
    with empty_broker(tmp_path / "nats") as url:
        async with running(url, tmp_path, SCRIPT, without) as system:
            submit = Submit(id=new_id(), objective="late", limits=Limits(start_timeout_s=0.2))
            watched = system.watch(submit.id)
            await system.publish(submit)
            await asyncio.sleep(0.4)
            stop = asyncio.Event()
            late = await _started("planner", planner, system.settings, GROUPS, stop)
            await system.ended(submit.id)
            assert [event.code for event in watched.events(run.Refused)] == ["start_timeout"]
            stop.set()
            await late


# ── Steering, with a provider that keeps what it was asked ──────────────────────────────────────────────────────────


@asynccontextmanager
async def prompted(
    folder: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, *says: Say
) -> AsyncIterator[tuple[System, Stage, Client, OpenAIServer]]:
    async with OpenAIServer(*says) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        async with staged(folder, model="openai/fake") as (system, stage), client_of(system) as client:
            yield system, stage, client, provider


def finish(output: str) -> tuple[tuple[str, str], ...]:
    return (("finish", json.dumps({"output": output})),)


def said(provider: OpenAIServer, number: int) -> str:
    return json.dumps(provider.requests[number]["messages"])


async def test_what_a_person_says_is_in_the_models_next_prompt(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = (Say(calls=(("gate", '{"name": "s"}'),)), Say(calls=finish("done")))
    async with prompted(tmp_path_factory, monkeypatch, *says) as (system, stage, client, provider):
        started = (await client.submit(Goal(objective="steered"))).run
        await stage.inside("s")
        await client.steer(started, "Use metric units.")
        await recorded(system, started, run.Steered)
        stage.open("s")
        assert (await system.settled(started)).output == "done"
        assert "Use metric units." not in said(provider, 0)
        assert "Use metric units." in said(provider, 1)


async def test_a_run_that_is_steered_while_its_model_finishes_thinks_once_more(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = (Say(calls=finish("too early"), pause_s=0.5), Say(calls=finish("as you like")))
    async with prompted(tmp_path_factory, monkeypatch, *says) as (system, _, client, provider):
        started = (await client.submit(Goal(objective="steered"))).run
        await recorded(system, started, guard.Granted)
        await client.steer(started, "Be polite.")
        ended = await system.settled(started)
        assert (ended.output, len(provider.requests)) == ("as you like", 2)
        assert "Be polite." in said(provider, 1)
