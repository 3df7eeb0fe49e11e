"""The loop from a goal to a checked result, over the real broker."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from callboard.bus import Delivery, layout, objects, reader
from callboard_contracts import dead, guard, live, run, subjects, wire
from callboard_contracts.goal import Limits, Submit
from tests.conftest import empty_broker
from tests.integration.system import System, asks, new_id, running, script

pytestmark = pytest.mark.anyio

SCRIPT = script(
    [{"output": "hello"}],
    three=[
        asks(("calc", {"expression": "1+1"}), ("calc", {"expression": "2+2"})),
        asks(("calc", {"expression": "3+3"}), ("calc", {"expression": "4+4"})),
        {"output": [{"$result": 0}, {"$result": 3}]},
    ],
    hallucinates=[asks(("no.such", {}), ("calc", {"wrong": 1})), {"output": "saw both errors"}],
    corrects=[{"output": "forty-two"}, {"output": 42}],
    impossible=[{"give_up": "there is no such file"}],
    forever=[asks(("calc", {"expression": "1"}))] * 50,
    writes=[
        asks(("files.write", {"path": "a.txt", "text": "hi"})),
        asks(("files.read", {"path": "a.txt"})),
        {"output": "ok"},
    ],
    delegates=[
        asks(("agent.run", {"objective": "left part"}), ("agent.run", {"objective": "right part"})),
        {"output": [{"$result": 0}, {"$result": 1}]},
    ],
    left=[asks(("calc", {"expression": "20+1"})), {"output": "L"}],
    right=[{"output": "R"}],
    dawdles=[{"delay_s": 3, "output": "late"}],
    talks=[{"text": "Let me think.", "output": "thought"}],
    hoards=[
        asks(("files.write", {"path": "big.txt", "text": "x" * 60_000})),
        asks(("files.read", {"path": "big.txt", "limit": 60_000})),
        {"output": "x" * 60_000},
    ],
    flaky=[{"fail": {"code": "provider_error", "message": "boom"}}, {"output": "recovered"}],
)


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    with empty_broker(tmp_path_factory.mktemp("nats")) as url:
        async with running(url, tmp_path_factory.mktemp("data"), SCRIPT) as found:
            yield found


async def test_a_goal_ends_with_its_answer(system: System) -> None:
    watched = await system.run(objective="say hello")
    assert (watched.ended.status, watched.ended.output) == ("completed", "hello")


async def test_three_rounds_with_parallel_calls_complete_and_arrive_in_order(system: System) -> None:
    watched = await system.run(objective="three rounds", contract={"type": "array"})
    assert watched.ended.status == "completed", watched.ended
    sequences = [seq for seq, _, _ in watched.records]
    assert sequences == sorted(sequences)
    assert [len(event.calls) for event in watched.events(run.Called)] == [1, 2, 1, 2, 1]
    assert len(watched.events(guard.Granted)) == 7


async def test_what_the_model_invents_is_refused_and_it_reads_why(system: System) -> None:
    watched = await system.run(objective="hallucinates a tool")
    assert {event.code for event in watched.events(guard.Refused)} == {"unknown_tool", "arguments_invalid"}
    assert watched.ended.output == "saw both errors"


async def test_an_answer_off_the_contract_is_corrected(system: System) -> None:
    watched = await system.run(objective="corrects itself", contract={"type": "integer"})
    assert watched.ended.output == 42
    assert len(watched.events(run.Noted)) == 1


async def test_an_impossible_goal_ends_unachievable_with_the_reason(system: System) -> None:
    watched = await system.run(objective="impossible")
    assert (watched.ended.status, watched.ended.reason) == ("unachievable", "there is no such file")


async def test_a_run_that_never_ends_is_stopped_by_the_name_of_its_limit(system: System) -> None:
    turns = await system.run(objective="forever", limits=Limits(max_turns=3))
    assert (turns.ended.code, turns.ended.turns) == ("iteration_budget", 3)
    calls = await system.run(objective="forever", limits=Limits(max_calls=3))
    assert calls.ended.code == "call_budget"
    time = await system.run(objective="dawdles", limits=Limits(timeout_s=0.3))
    assert time.ended.code == "time_budget"


async def test_a_file_that_one_step_writes_the_next_reads(system: System) -> None:
    watched = await system.run(objective="writes a file")
    assert watched.ended.status == "completed"
    assert all(taken.status == "completed" for event in watched.events(run.Took) for taken in event.results)


async def test_an_orchestrator_gets_the_results_of_its_sub_agents(system: System) -> None:
    watched = await system.run(objective="delegates", contract={"type": "array"})
    assert watched.ended.output == ["L", "R"], watched.ended
    assert {event.run for event in watched.events(guard.Opened)} == {
        watched.tree,
        f"{watched.tree}-2-0",
        f"{watched.tree}-2-1",
    }


async def test_a_goal_published_twice_is_one_run(system: System) -> None:
    goal = Submit(id=new_id(), objective="say hello")
    watched = system.watch(goal.id)
    await system.publish(goal)
    await system.publish(goal)
    await system.ended(goal.id)
    assert len(watched.events(run.Accepted)) == 1


async def test_a_goal_that_cannot_be_started_is_refused_with_a_code(system: System) -> None:
    watched = await system.run(objective="hello", skill="no-such-skill")
    (refused,) = watched.events(run.Refused)
    assert refused.code == "unknown_skill"


async def test_a_provider_that_fails_is_asked_again_with_a_grant_of_its_own(system: System) -> None:
    watched = await system.run(objective="flaky provider")
    assert watched.ended.output == "recovered"
    assert len(watched.events(run.Deferred)) == 1
    assert len(watched.events(guard.Granted)) == 2


async def test_a_trace_that_a_goal_brings_reaches_every_grant(system: System) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    goal = Submit(id=new_id(), objective="three rounds", contract={"type": "array"})
    watched = system.watch(goal.id)
    await system.bus.publish(str(subjects.Goal("default")), wire.encode(goal), {wire.ID: goal.id, wire.TRACE: trace})
    await system.ended(goal.id)
    assert [grant.traceparent for grant in watched.events(guard.Granted)] == [trace] * 7


async def test_text_is_heard_while_the_model_writes_and_is_not_stored(system: System) -> None:
    heard: list[Delivery] = []
    stop = await system.bus.subscribe("cb.default.live.*.*.stream.>", heard.append)
    watched = await system.run(objective="talks")
    await stop()
    assert [wire.decode(message.body, live.Chunk).text for message in heard] == ["Let me think."]
    stored = [record for _, subject, record in watched.records if ".stream." in subject]
    assert stored == []


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"not json", "undecodable"), (b'{"objective": 7}', "undecodable"), (b'{"id": "short"}', "undecodable")],
)
async def test_a_goal_that_cannot_be_read_goes_to_the_dead_letters_and_the_queue_goes_on(
    system: System, body: bytes, code: str
) -> None:
    before = await system.bus.api("STREAM.INFO.DEAD")
    await system.bus.publish("cb.default.goal._", body)
    assert (await system.run(objective="say hello")).ended.status == "completed"
    letter = await reader.last(system.bus, layout.DEAD, "cb.default.dead.planner")
    assert letter is not None
    assert letter.seq > before["state"]["last_seq"]
    assert wire.decode(letter.body, dead.Letter).code == code
    assert wire.decode(letter.body, dead.Letter).body == body.decode()


async def test_another_goal_under_a_used_id_is_set_aside_and_leaves_the_run_alone(system: System) -> None:
    watched = await system.run(objective="say hello")
    await system.publish(Submit(id=watched.tree, objective="something else"))
    async with asyncio.timeout(5):
        while True:
            letter = await reader.last(system.bus, layout.DEAD, "cb.default.dead.planner")
            if letter is not None and wire.decode(letter.body, dead.Letter).id == watched.tree:
                break
            await asyncio.sleep(0.02)
    assert wire.decode(letter.body, dead.Letter).code == "conflict"
    assert (await system.settled(watched.tree)).output == "hello"


async def test_what_a_turn_writes_does_not_grow_with_the_run(system: System) -> None:
    watched = await system.run(objective="forever", limits=Limits(max_turns=49))
    sizes: dict[str, list[int]] = {"run": [], "tree": []}
    for _, subject, record in watched.records:
        if not record.state:
            sizes[subject.split(".")[2]].append(len(wire.encode(record)))
    for each in sizes.values():
        early, late = each[4:24], each[-24:-4]
        assert abs(sum(late) / sum(early) - 1) < 0.1


async def test_results_too_large_for_a_record_are_kept_by_reference_and_read_back(system: System) -> None:
    watched = await system.run(objective="hoards", timeout_s=30)
    assert watched.ended.status == "completed", watched.ended
    stored = await objects.get_blob(system.bus, watched.ended.output_ref)
    assert stored == wire.encode("x" * 60_000)
    taken = [result for event in watched.events(run.Took) for result in event.results]
    assert [result.status for result in taken] == ["completed"] * 5
    assert max(len(wire.encode(record)) for _, _, record in watched.records) < 40_000


async def test_an_activity_of_a_single_call_turn_costs_three_stored_messages(system: System) -> None:
    before = await _stored(system)
    watched = await system.run(objective="forever", limits=Limits(max_turns=5))
    calls = len(watched.events(guard.Granted))
    # beside the activities: the timer comes once, the ending is a record, and so is the closing of the tree
    assert await _stored(system) - before <= 3 * calls + 3


async def _stored(system: System) -> int:
    infos = [await system.bus.api(f"STREAM.INFO.JOURNAL-{group}") for group in range(system.groups)]
    return sum(info["state"]["messages"] for info in infos)
