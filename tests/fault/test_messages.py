"""What arrives twice, out of order or as rubbish: one event each, and the queue goes on."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard.bus import Bus, layout, reader
from callboard.bus.errors import Conflict
from callboard_contracts import call, goal, ids, names, run, subjects, wire
from callboard_contracts.dead import Letter
from callboard_contracts.journal import Record
from tests.fault import invariants
from tests.fault.house import WORK
from tests.integration.system import GROUPS, System, new_id, running

pytestmark = pytest.mark.anyio
DURABLES = ("planner", "guard", names.durable(names.MODEL), "tool-calc")


async def work_off(bus: Bus) -> None:
    """Wait until no durable has anything to deliver or waits for an answer."""
    async with asyncio.timeout(20):
        while await _waiting(bus):  # noqa: ASYNC110 - the broker tells by being asked
            await asyncio.sleep(0.05)


async def _waiting(bus: Bus) -> int:
    streams = [(layout.GOALS, "planner")] + [
        (layout.journal(g), durable) for g in range(GROUPS) for durable in DURABLES
    ]
    found = [await bus.api(f"CONSUMER.INFO.{stream}.{durable}") for stream, durable in streams]
    return sum(info["num_pending"] + info["num_ack_pending"] for info in found)


async def closed(system: System, trees: list[str]) -> list[invariants.Stored]:
    """Wait until trees are closed, and return every record."""
    async with asyncio.timeout(30):
        while not set(trees) <= await invariants.ended(system.bus, GROUPS):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
        while invariants.open_trees(await invariants.stored(system.bus, GROUPS)):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    await work_off(system.bus)
    return await invariants.stored(system.bus, GROUPS)


async def replay_inputs(bus: Bus) -> int:
    """Publish every input of every run and tree again, the newest first: as a broker or a publisher may."""
    found = [one for g in range(GROUPS) async for one in reader.scan(bus, layout.journal(g), "cb.*.*.*.*.*.in.>")]
    for one in reversed(found):
        headers = {key: value for key, value in one.headers.items() if not key.startswith("Nats-")}
        await bus.publish(one.stored_subject, one.body, headers)
    return len(found)


async def test_goals_and_results_said_again_in_any_order_change_nothing(fresh_broker: str, tmp_path: Path) -> None:
    async with running(fresh_broker, tmp_path, WORK) as system:
        goals = [goal.Submit(id=new_id(), objective="work") for _ in range(8)]
        for one in goals:
            await system.publish(one)
        await replay_inputs(system.bus)
        before = await closed(system, [one.id for one in goals])
        await asyncio.sleep(1.2)  # the broker's own window of duplicates is over
        for one in reversed(goals):
            await system.publish(one)
        assert await replay_inputs(system.bus) >= 8 * 6
        after = await closed(system, [one.id for one in goals])
        assert invariants.violations(after, [one.id for one in goals]) == []
        assert [one.seq for one in after] == [one.seq for one in before]


async def test_everything_delivered_again_from_the_beginning_changes_nothing(fresh_broker: str, tmp_path: Path) -> None:
    """A durable that was restored from a backup, or made anew by hand, starts again with the first message."""
    async with running(fresh_broker, tmp_path, WORK) as system:
        goals = [goal.Submit(id=new_id(), objective="work") for _ in range(5)]
        for one in goals:
            await system.publish(one)
        before = await closed(system, [one.id for one in goals])
    async with await Bus.connect(fresh_broker, name="operator") as bus:
        for group in range(GROUPS):
            for durable in ("planner", "guard"):
                await bus.api(f"CONSUMER.DELETE.{layout.journal(group)}.{durable}")
    async with running(fresh_broker, tmp_path, WORK) as system:
        await work_off(system.bus)
        after = await invariants.stored(system.bus, GROUPS)
        assert [one.seq for one in after] == [one.seq for one in before]
        assert await letters(system.bus) == []


async def letters(bus: Bus) -> list[Letter]:
    """Return every dead letter."""
    return [wire.decode(one.body, Letter) async for one in reader.scan(bus, layout.DEAD, "cb.*.dead.*")]


NOBODY = ids.ulid(1_767_225_600_000, b"0123456789")
RUN = subjects.Address.of_run("default", NOBODY)
TREE = subjects.Address.of_tree("default", NOBODY)
GOAL = str(subjects.Goal("default"))
RESULT = call.Completed(call=ids.call_id(NOBODY, 1, 0))
RUBBISH: dict[str, tuple[str, bytes]] = {
    "goal: not JSON": (GOAL, b"\xff not json"),
    "goal: a list": (GOAL, b"[1, 2]"),
    "goal: another message": (GOAL, wire.encode(run.Cancel())),
    "goal: a field of the wrong type": (GOAL, b'{"type":"goal.submit.v1","id":"' + NOBODY.encode() + b'","limits":7}'),
    "goal: no ULID": (GOAL, wire.encode(goal.Submit(id="run-1", objective="x"))),
    "goal: an id of 100 KB": (GOAL, wire.encode(goal.Submit(id="X" * 100_000, objective="x"))),
    "goal: nested too deep": (GOAL, b'{"input":' + b"[" * 50_000),
    "result: not JSON": (str(RUN.at("in", "result")), b"{"),
    "result: another message": (str(RUN.at("in", "result")), wire.encode(run.Wake())),
    "result: of a call that nobody asked for": (str(RUN.at("in", "result")), wire.encode(RESULT)),
    "result: an id of 100 KB": (str(RUN.at("in", "result")), wire.encode(call.Completed(call="X" * 100_000))),
    "timer: not JSON": (str(RUN.at("in", "timer")), b""),
    "cancel: a number": (str(RUN.at("in", "cancel")), b"7"),
    "child: another message": (str(RUN.at("in", "child")), wire.encode(run.Cancel())),
    "run: a kind that does not exist": (str(RUN.at("in", "nonsense")), b"{}"),
    "control: not JSON": (str(TREE.at("in", "control")), b"\x00\x01"),
    "control: another message": (str(TREE.at("in", "control")), wire.encode(run.Wake())),
    "tree: a kind that does not exist": (str(TREE.at("in", "nonsense")), b"{}"),
    "grant: not JSON": (str(TREE.at("send", f"call.calc.{RESULT.call}")), b"nonsense"),
    "grant: a record without one": (str(TREE.at("send", "call.calc.a")), wire.encode(Record(causes=("a",), events=()))),
    "model grant: not JSON": (str(TREE.at("send", "call.model.b")), b"nonsense"),
    "agent grant: not JSON": (str(TREE.at("send", "call.agent-run.c")), b"nonsense"),
}


async def test_rubbish_on_any_subject_is_set_aside_and_the_queue_goes_on(fresh_broker: str, tmp_path: Path) -> None:
    async with running(fresh_broker, tmp_path, WORK) as system:
        for subject, body in RUBBISH.values():
            await system.bus.publish(subject, body)
        watched = await system.run(objective="work")
        assert watched.ended.output == "done"
        await work_off(system.bus)
        found = await letters(system.bus)
        assert (await system.bus.api(f"STREAM.INFO.{layout.GOALS}"))["state"]["messages"] == 0
    assert sorted((one.subject, _body(one)) for one in found) == sorted(RUBBISH.values())
    assert all(letter.code in ("undecodable", "not_granted") and letter.reason for letter in found)


def _body(letter: Letter) -> bytes:
    return base64.b64decode(letter.body) if letter.base64 else letter.body.encode()


@pytest.mark.parametrize(
    "forged",
    [
        lambda tree: subjects.Address.of_run("default", tree).at("log", "called"),
        lambda tree: subjects.Address.of_tree("default", tree).at("log", "call.calc"),
    ],
)
async def test_a_record_on_an_old_fence_is_refused_by_the_broker(
    fresh_broker: str, tmp_path: Path, forged: Callable[[str], Any]
) -> None:
    async with running(fresh_broker, tmp_path, WORK) as system:
        watched = await system.run(objective="work")
        await system.closed(watched)
        subject = forged(watched.tree)
        for seq in ("0", str(watched.records[0][0])):
            with pytest.raises(Conflict):
                await system.bus.publish(
                    str(subject), b"{}", {wire.FENCE: seq, wire.FENCE_SUBJECT: subject.address.fence}
                )
        assert invariants.violations(await invariants.stored(system.bus, GROUPS), [watched.tree]) == []
