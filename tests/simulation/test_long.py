"""Long work and long waits: what takes an hour, a day or a week is as safe as what takes a second."""

import asyncio
from collections.abc import Sequence
from unittest.mock import patch

import pytest

from callboard.runtime import states
from callboard.tools import ToolContext
from callboard_contracts import approval, guard, ids, run, subjects
from callboard_contracts.model import Answer, Ask, Request
from callboard_contracts.policy import Policy, Rule
from callboard_services.guard.settling import GRACE_MS as TREE_GRACE_MS
from callboard_services.planner.evolve import GRACE_MS as CALL_GRACE_MS
from tests.simulation.clock import EPOCH_S
from tests.simulation.controls import TENANT, Said, to_tree
from tests.simulation.stage import CORE, Says, Stage, Work, asks, play

_MINUTE_S = 60.0
_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_WEEK_S = 7 * _DAY_S
_SOON_S = 2.0
"""What goes by between a deadline and what follows from it."""


def _taken(stage: Stage, name: str, tool: str) -> list[run.Taken]:
    took = [one for event in stage.all_of(run.Took, name) for one in event.results]
    return [one for one in took if one.tool == tool]


def test_a_tool_that_works_for_an_hour_is_delivered_once_and_its_result_is_taken() -> None:
    stage = Stage(asks("sim.slow"), Work("sim.slow", _HOUR_S, 2 * _HOUR_S))

    async def scene(stage: Stage) -> None:
        stage.start(*CORE, "tools-1", "tools-2")
        name = await stage.submit(timeout_s=2 * _HOUR_S)
        at_s, ended = await stage.happens(run.Ended, name, 2 * _HOUR_S)
        assert ended.status == "completed"
        assert _HOUR_S < at_s < _HOUR_S + _SOON_S
        assert [one.status for one in _taken(stage, name, "sim.slow")] == ["completed"]
        await stage.happens(guard.Closed, name, _MINUTE_S)

    play(scene, stage)
    deliveries = [it._deliveries for (_, name), it in stage.broker.consumers.items() if name == "tool-sim-slow"]
    assert sum(deliveries) == 1
    assert [one.attempt for one in stage.begun] == [1]


def test_a_run_that_is_paused_for_a_day_goes_on_with_the_time_it_had_left() -> None:
    stage = Stage(asks("sim.look", "sim.slow"), Work("sim.look", 100.0, 200.0), Work("sim.slow", 400.0, 1000.0))

    async def scene(stage: Stage) -> None:
        stage.start(*CORE, "tools-1")
        name = await stage.submit(timeout_s=600.0)
        late = await stage.submit(timeout_s=300.0)
        await asyncio.sleep(30.0)
        for each in (name, late):
            await stage.say(to_tree(each, guard.Pause(run=each)))
        restarts = asyncio.create_task(stage.restart_all(4 * _HOUR_S, 5))
        await asyncio.sleep(_DAY_S)
        await restarts
        assert [one.status for one in _taken(stage, name, "sim.look")] == ["completed"]
        assert not stage.all_of(run.Ended, name)
        for each in (name, late):
            await stage.say(to_tree(each, guard.Resume(run=each)))
        at_s, ended = await stage.happens(run.Ended, name, 600.0)
        assert (ended.status, at_s > _DAY_S) == ("completed", True)
        at_s, ended = await stage.happens(run.Ended, late, 600.0)
        assert ended.code == "time_budget"
        assert _DAY_S + 300.0 <= at_s < _DAY_S + 300.0 + _SOON_S
        await stage.happens(guard.Closed, late, _HOUR_S)
        await stage.happens(guard.Closed, name, _HOUR_S)

    play(scene, stage)


def test_a_call_that_finds_no_executor_for_a_day_is_done_when_one_comes() -> None:
    stage = Stage(asks("sim.pay", "sim.look"), Work("sim.pay", 5.0, 2 * _DAY_S), Work("sim.look", 5.0, 2 * _DAY_S))

    async def scene(stage: Stage) -> None:
        stage.start(*CORE)
        name = await stage.submit(timeout_s=3 * _DAY_S)
        restarts = asyncio.create_task(stage.restart_all(4 * _HOUR_S, 5))
        await asyncio.sleep(_DAY_S)
        await restarts
        assert not stage.begun
        stage.start("tools-1")
        _, ended = await stage.happens(run.Ended, name, _MINUTE_S)
        assert ended.status == "completed"
        assert [one.status for one in _taken(stage, name, "sim.pay")] == ["completed"]
        await stage.happens(guard.Closed, name, _MINUTE_S)

    play(scene, stage)
    assert len(stage.begun) == 2


def test_a_person_who_takes_five_days_finds_the_run_as_it_was_and_it_costs_nobody_anything() -> None:
    """Every process is killed every night; the run has ten minutes of its own, the call one hundred seconds."""
    rule = Rule(name="all", tool=("sim.pay",), approvers=("ann",), expires_s=_WEEK_S, remind_after_s=_DAY_S)
    policy = Policy(name="house", rules=(rule,))
    stage = Stage(asks("sim.pay", "sim.look"), Work("sim.pay", 1.0, 100.0), Work("sim.look", 1.0, 100.0), policy=policy)

    async def scene(stage: Stage) -> None:
        stage.start(*CORE, "approval-1", "tools-1")
        name = await stage.submit(timeout_s=600.0)
        call = ids.call_id(name, 2, 0)
        _, asked = await stage.happens(approval.Requested, call, _MINUTE_S)
        restarts = asyncio.create_task(stage.restart_all(_DAY_S, 4))
        await asyncio.sleep(5 * _DAY_S)
        await restarts
        assert all(stage.tasks_now(node) < 40 for node in ("planner-1", "guard-1", "approval-1"))
        assert len(stage.all_of(approval.Reminded, call)) >= 4
        vote = approval.Vote(vote="approve", digest=asked.request.digest, principal="ann")
        await stage.say(Said(0.0, str(subjects.Address.of_request(TENANT, call).at("in", "vote")), vote))
        at_s, ended = await stage.happens(run.Ended, name, _MINUTE_S)
        assert ended.status == "completed"
        assert 5 * _DAY_S < at_s < 5 * _DAY_S + _MINUTE_S
        await stage.happens(guard.Closed, name, _MINUTE_S)
        assert stage.effects.done[call] == 1

    play(scene, stage)


def _until(end_s: float, tools: Sequence[str]) -> Says:
    """Return a model that lets each run use one of the tools again and again until a time has come."""

    def says(context: ToolContext, _: Request) -> Answer:
        if asyncio.get_running_loop().time() > end_s:
            return Answer(finished=True, output="done")
        which = tools[int(context.tree[-1]) % len(tools)]
        return Answer(asks=(Ask(tool=which, arguments={"n": ids.turn_of(context.call)}),))

    return says


@pytest.mark.parametrize(
    ("softly", "ack_wait_s"),
    [pytest.param(True, 30.0, id="by SIGTERM"), pytest.param(False, 10.0, id="by SIGKILL, with a short ack wait")],
)
def test_work_goes_on_while_its_executor_is_restarted_every_minute(softly: bool, ack_wait_s: float) -> None:
    # What a killed process held comes again after the ack wait: with 30 s, 45 s of work never fit into the rest of a
    # minute, and after its eighth delivery a call is poison. What SIGTERM interrupts is given back at once.
    works = (Work("sim.count", 45.0, 600.0), Work("sim.pay", 25.0, 600.0))
    stage = Stage(_until(_HOUR_S, [each.name for each in works]), *works, ack_wait_s=ack_wait_s)
    restarts: list[float] = []

    async def scene(stage: Stage) -> list[str]:
        stage.start(*CORE, "tools-1")
        runs = [await stage.submit(timeout_s=2 * _HOUR_S, budget_micro_usd=None) for _ in range(4)]
        for _ in range(60):
            await asyncio.sleep(_MINUTE_S)
            restarts.append(asyncio.get_running_loop().time())
            if softly:
                stage.nodes["tools-1"].stop()
            else:
                stage.nodes["tools-1"].kill("again", 0.3)
        for name in runs:
            _, ended = await stage.happens(run.Ended, name, _HOUR_S)
            assert ended.status == "completed", ended.reason
            await stage.happens(guard.Closed, name, _MINUTE_S)
        return runs

    runs = play(scene, stage)
    counted = [one for name in runs for one in _taken(stage, name, "sim.count")]
    paid = [one for name in runs for one in _taken(stage, name, "sim.pay")]
    assert {one.status for one in counted} == {"completed"}
    assert {one.status for one in paid} == {"completed", "lost"}
    again = {one.call for one in stage.begun if one.attempt > 1}
    assert again
    assert again.isdisjoint(one.call for one in paid)
    begun = {one.call: one.at_s for one in stage.begun}
    lost = [begun[one.call] for one in paid if one.status == "lost"]
    assert all(any(at_s <= restart <= at_s + 25.0 for restart in restarts) for at_s in lost), "each was interrupted"
    assert all(stage.effects.done[one.call] == 1 for one in paid if one.status == "completed")
    assert all(stage.effects.done[one.call] <= 1 for one in paid)


def test_runs_that_wait_hold_no_task_and_only_what_the_cache_may_hold() -> None:
    stage = Stage(asks("sim.pay"), Work("sim.pay", 1.0, 2 * _DAY_S))

    async def scene(stage: Stage) -> None:
        stage.start(*CORE)
        await asyncio.sleep(_MINUTE_S)
        idle = {name: stage.tasks_now(name) for name in CORE}
        runs = [await stage.submit(timeout_s=3 * _DAY_S) for _ in range(50)]
        await asyncio.sleep(_HOUR_S)
        assert {name: stage.tasks_now(name) for name in CORE} == idle
        _nothing_is_held(stage, cached=10)
        await stage.restart_all(_HOUR_S, 1)
        await asyncio.sleep(_HOUR_S)
        assert {name: stage.tasks_now(name) for name in CORE} == idle
        _nothing_is_held(stage, cached=0)
        stage.start("tools-1")
        for name in runs:
            _, ended = await stage.happens(run.Ended, name, _HOUR_S)
            assert ended.status == "completed"
            await stage.happens(guard.Closed, name, _MINUTE_S)

    with patch.object(states, "_KEPT", 10):
        play(scene, stage)


def test_runs_that_ended_leave_nothing_behind_though_their_timers_still_come() -> None:
    stage = Stage(asks("sim.pay"), Work("sim.pay", 1.0, _MINUTE_S))

    async def scene(stage: Stage) -> None:
        stage.start(*CORE, "tools-1")
        for name in [await stage.submit() for _ in range(5)]:
            await stage.happens(guard.Closed, name, _MINUTE_S)
        await asyncio.sleep(_HOUR_S)
        _nothing_is_held(stage, cached=0)

    play(scene, stage)


def _nothing_is_held(stage: Stage, cached: int) -> None:
    workers = stage.workers_now()
    assert len(workers) == 2
    for worker in workers:
        assert not worker._mail
        assert not worker._tasks
        assert len(worker._states._kept) == cached


def test_a_run_ends_after_a_week_and_its_tree_when_its_last_call_can_answer_no_more() -> None:
    call_s = _WEEK_S + _DAY_S
    stage = Stage(asks("sim.pay"), Work("sim.pay", 1.0, call_s))

    async def scene(stage: Stage) -> None:
        stage.start(*CORE)
        name = await stage.submit(timeout_s=_WEEK_S)
        restarts = asyncio.create_task(stage.restart_all(1.5 * _DAY_S, 6))
        _, accepted = await stage.happens(run.Accepted, name, _MINUTE_S)
        at_s, ended = await stage.happens(run.Ended, name, 2 * _WEEK_S)
        assert (ended.status, ended.code) == ("failed", "time_budget")
        due_s = accepted.deadline_ms / 1000 - EPOCH_S
        assert abs(due_s - _WEEK_S) < _SOON_S
        assert due_s <= at_s < due_s + _SOON_S
        (granted,) = [one for one in stage.all_of(guard.Granted, name) if one.call.tool == "sim.pay"]
        assert list(ended.open) == [granted.call.id]
        at_s, closed = await stage.happens(guard.Closed, name, _DAY_S + _MINUTE_S)
        due_s = (granted.expires_ms + TREE_GRACE_MS) / 1000 - EPOCH_S
        assert due_s <= at_s < due_s + _SOON_S
        entries = [entry for settled in stage.all_of(guard.Settled, name) for entry in settled.entries]
        assert (granted.call.id, granted.reserved_micro_usd, 0) in entries
        assert closed.committed_micro_usd == granted.reserved_micro_usd == 3000
        restarts.cancel()

    play(scene, stage)


def test_a_call_that_nobody_answers_for_ten_hours_is_given_up_and_the_run_goes_on() -> None:
    stage = Stage(asks("sim.pay", "sim.look"), Work("sim.pay", 1.0, 10 * _HOUR_S), Work("sim.look", 1.0, 60.0))

    async def scene(stage: Stage) -> None:
        stage.start(*CORE)
        name = await stage.submit(timeout_s=_DAY_S)
        restarts = asyncio.create_task(stage.restart_all(2 * _HOUR_S, 4))
        await asyncio.sleep(9 * _HOUR_S)
        await restarts
        assert not stage.all_of(run.Ended, name)
        await asyncio.sleep(_HOUR_S + _MINUTE_S)
        asked = next(one for one in stage.all_of(run.Called, name) if one.calls[0].tool == "sim.pay")
        (lost,) = _taken(stage, name, "sim.pay")
        assert (lost.status, lost.code) == ("lost", "call_timeout")
        took_s = next(
            one.at_s for one in stage.happened if isinstance(one.event, run.Took) and lost in one.event.results
        )
        due_s = (asked.at_ms + CALL_GRACE_MS) / 1000 - EPOCH_S + 10 * _HOUR_S
        assert due_s <= took_s < due_s + _SOON_S
        stage.start("tools-1")
        _, ended = await stage.happens(run.Ended, name, _HOUR_S)
        assert ended.status == "completed"
        await stage.happens(guard.Closed, name, _HOUR_S)

    play(scene, stage)
    assert len(stage.begun) == 1
