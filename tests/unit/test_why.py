"""Why a run waits, and from where one is taken up again: both follow from records alone."""

from typing import Any

import pytest

from callboard.why import Durable, Facts, Reason, Stored, why
from callboard.why.facts import Came
from callboard_contracts import guard, ids, names, run
from callboard_contracts.call import Call
from callboard_contracts.dead import Letter
from callboard_contracts.goal import Limits, Submit
from callboard_services.gateway.lastgood import Point, numbered, point
from tests.unit.given import NOW, RUN

CALL, TOOL_CALL, AGENT_CALL = (ids.call_id(RUN, turn, 0) for turn in (1, 2, 4))
ALIVE = Durable(pulls=1)
DEAD = Durable()


def record(seq: int, *events: Any, of: str = RUN) -> Stored:
    return Stored(seq=seq, time_ms=NOW + seq, run=of, causes=(), events=events)


def called(call: str, tool: str = names.MODEL, *, again: str = "", arguments: Any = None) -> run.Called:
    made = Call(id=call, tool=tool, again=again, arguments=arguments)
    return run.Called(turn=ids.turn_of(call), at_ms=NOW, calls=(made,))


def took(call: str, tool: str = names.MODEL, status: Any = "completed", **more: Any) -> run.Took:
    return run.Took(results=(run.Taken(call=call, tool=tool, status=status, seq=9, **more),))


def granted(call: str, tool: str = names.MODEL) -> guard.Granted:
    return guard.Granted(call=Call(id=call, tool=tool), source=1, expires_ms=NOW + 60_000)


def facts(*records: Stored, tree: tuple[Stored, ...] = (), alive: bool = True, **more: Any) -> Facts:
    lane = ALIVE if alive else DEAD
    lanes = {"goals": lane, "planner": lane, "guard": lane}
    return Facts(now_ms=NOW + 1000, run=RUN, records=records, tree=tree, lanes=lanes, **more)


def only(given: Facts) -> Reason:
    (reason,) = why(given)
    return reason


def test_every_reason_is_one_sentence_with_a_time_where_there_is_one() -> None:
    asked = record(5, called(TOOL_CALL, "calc"))
    grant = (record(6, granted(TOOL_CALL, "calc")),)
    shapes = [
        facts(),
        facts(queued_ms=NOW),
        facts(queued_ms=NOW, alive=False),
        facts(record(1, called(CALL))),
        facts(record(1, called(CALL)), alive=False),
        facts(asked, tree=grant),
        facts(asked, tree=grant, executors={"calc": 1}, queues={"calc": Durable(unanswered=3)}),
        facts(asked, tree=grant, executors={"calc": 1}, queues={"calc": ALIVE}),
        facts(record(1, run.Ended(status="failed", code="time_budget", reason="it is over."))),
    ]
    for shape in shapes:
        for reason in why(shape):
            assert reason.sentence.endswith(".")
            assert ".." not in reason.sentence
            assert reason.sentence[:1].isupper()


def test_a_grant_that_was_delivered_runs_and_one_that_was_not_waits() -> None:
    asked, grant = record(5, called(TOOL_CALL, "calc")), (record(6, granted(TOOL_CALL, "calc")),)
    full = Durable(unanswered=1, pending=2, delivered=5)
    given = facts(asked, tree=grant, executors={"calc": 2}, queues={"calc": full}, granted_at={TOOL_CALL: 6})
    waits = only(given)
    assert (waits.waiting_for, waits.detail, waits.executors) == ("executor", "saturated", 2)
    taken = Durable(unanswered=1, delivered=6)
    given = facts(asked, tree=grant, executors={"calc": 2}, queues={"calc": taken}, granted_at={TOOL_CALL: 6})
    runs = only(given)
    assert (runs.waiting_for, runs.since_ms, runs.until_ms) == ("result", NOW + 6, NOW + 60_000)


def test_an_executor_that_died_with_the_call_is_told_apart_from_one_that_never_was() -> None:
    asked, grant = record(5, called(TOOL_CALL, "calc")), (record(6, granted(TOOL_CALL, "calc")),)
    taken = Durable(unanswered=1, delivered=6)
    died = only(facts(asked, tree=grant, queues={"calc": taken}, granted_at={TOOL_CALL: 6}, known=frozenset({"calc"})))
    assert (died.waiting_for, died.executors) == ("executor", 0)
    assert "one had taken the call" in died.sentence
    never = only(facts(asked, tree=grant))
    assert "calc is not in the registry" in never.sentence


def test_a_stored_answer_wins_over_everything_that_was_said_of_the_call_before() -> None:
    came = (Came(seq=8, time_ms=NOW + 8, call=TOOL_CALL, kind="result"),)
    given = facts(record(5, called(TOOL_CALL, "calc")), tree=(record(6, granted(TOOL_CALL, "calc")),), came=came)
    assert (only(given).waiting_for, only(given).since_ms) == ("planner", NOW + 8)


def test_a_pause_that_was_taken_back_holds_nothing_and_the_nearest_one_is_named() -> None:
    child = ids.call_id(RUN, 2, 0)
    asked = Stored(seq=5, time_ms=NOW, run=child, causes=(), events=(called(ids.call_id(child, 1, 0)),))
    both = record(6, *(guard.Paused(id=name, run=name, nth=1, principal="ada") for name in (RUN, child)))
    back = record(7, guard.Resumed(id="x", run=child, nth=2))
    given = Facts(now_ms=NOW, run=child, records=(asked,), tree=(both,), lanes={"guard": ALIVE})
    assert why(given)[0].sentence.startswith("It was paused by ada")
    given = Facts(now_ms=NOW, run=child, records=(asked,), tree=(both, back), lanes={"guard": ALIVE})
    assert f"The run {RUN}, to which it belongs, was paused" in why(given)[0].sentence
    free = record(8, guard.Resumed(id="y", run=RUN, nth=3))
    given = Facts(now_ms=NOW, run=child, records=(asked,), tree=(both, back, free), lanes={"guard": ALIVE})
    assert only(given).waiting_for == "guard"


def test_the_chain_goes_down_through_every_sub_agent_that_is_waited_for() -> None:
    below = ids.call_id(AGENT_CALL, 2, 0)
    leaf = Facts(now_ms=NOW, run=below, records=(record(30, called(ids.call_id(below, 1, 0)), of=below),))
    middle = Facts(
        now_ms=NOW,
        run=AGENT_CALL,
        records=(record(20, called(below, names.AGENT), of=AGENT_CALL),),
        tree=(record(21, granted(below, names.AGENT)),),
        children={below: leaf},
    )
    tree = (record(11, granted(AGENT_CALL, names.AGENT)),)
    top = facts(record(10, called(AGENT_CALL, names.AGENT)), tree=tree, children={AGENT_CALL: middle})
    told = [(reason.run, reason.waiting_for) for reason in why(top)]
    assert told == [(RUN, "sub_agent"), (AGENT_CALL, "sub_agent"), (below, "guard")]


def test_a_sub_agent_that_has_not_begun_waits_for_a_planner() -> None:
    asked, grant = record(5, called(AGENT_CALL, names.AGENT)), (record(6, granted(AGENT_CALL, names.AGENT)),)
    child = Facts(now_ms=NOW, run=AGENT_CALL)
    reason = only(facts(asked, tree=grant, children={AGENT_CALL: child}, alive=False))
    assert (reason.waiting_for, reason.call) == ("planner", AGENT_CALL)
    assert "no planner lives to take it" in reason.sentence


def test_a_delay_that_is_over_with_nobody_to_take_the_timer_waits_for_a_planner() -> None:
    deferred = run.Deferred(until_ms=NOW - 60_000, code="rate_limited", message="slow down")
    reason = only(facts(record(5, deferred), alive=False))
    assert (reason.waiting_for, reason.detail) == ("planner", "slow down")
    assert only(facts(record(5, deferred))).waiting_for == "retry_delay"


def test_a_closed_run_waits_for_nothing_and_a_closing_one_for_late_results() -> None:
    ended = record(5, run.Ended(status="completed"))
    closing = record(6, guard.Closing(run=RUN, until_ms=NOW + 9, calls=(TOOL_CALL,)))
    assert [reason.waiting_for for reason in why(facts(ended, tree=(closing,)))] == ["nothing", "late_results"]
    assert [reason.waiting_for for reason in why(facts(ended, tree=(closing, record(7, guard.Closed(run=RUN)))))] == [
        "nothing"
    ]


def test_a_dead_letter_is_told_first_and_does_not_hide_the_rest() -> None:
    letter = Letter(service="planner", subject="s", code="undecodable", reason="no JSON.")
    told = why(facts(record(1, called(CALL)), letters=(letter,)))
    assert [reason.waiting_for for reason in told] == ["operator", "guard"]


def test_many_open_calls_are_counted_beyond_the_first() -> None:
    calls = tuple(Call(id=ids.call_id(RUN, 2, index), tool="calc") for index in range(40))
    told = why(facts(record(1, run.Called(turn=2, at_ms=NOW, calls=calls))))
    assert len(told) == 33
    assert told[-1].sentence == "It waits for 8 more calls."


# ── The last good turn ──────────────────────────────────────────────────────────────────────────────────────────────

GOAL = run.Accepted(goal=Submit(id=RUN, limits=Limits()), goal_digest="d", contract={}, model="m", deadline_ms=NOW)
FIRST = record(1, GOAL, called(CALL, arguments={"prompt_tokens": 300}))
SECOND = record(2, took(CALL, input_tokens=500, output_tokens=20), called(TOOL_CALL, "calc"))
NEXT = called(ids.call_id(RUN, 3, 0))


@pytest.mark.parametrize("status", ["completed", "failed", "refused"])
def test_a_turn_whose_calls_have_a_known_outcome_is_good(status: Any) -> None:
    after = record(3, took(TOOL_CALL, "calc", status, bytes=300), NEXT)
    assert point([FIRST, SECOND, after]) == Point(turn=2, seq=3, tokens=520 + 20 + 100)


def test_a_turn_with_a_lost_or_an_open_call_is_not_good() -> None:
    lost = record(3, took(TOOL_CALL, "calc", "lost"), NEXT)
    assert point([FIRST, SECOND, lost]) is None
    assert point([FIRST, SECOND, record(3, run.Ended(status="cancelled", open=(TOOL_CALL,)))]) is None
    assert point([FIRST, record(2, took(CALL), run.Ended(status="unachievable"))]) is None
    other = Call(id=ids.call_id(RUN, 2, 1), tool="calc")
    both = run.Called(turn=2, at_ms=NOW, calls=(Call(id=TOOL_CALL, tool="calc"), other))
    half = record(3, took(TOOL_CALL, "calc"), run.Ended(status="cancelled", open=(other.id,)))
    assert point([FIRST, record(2, took(CALL), both), half]) is None


def test_points_have_the_number_that_people_give_their_turns() -> None:
    early, late = (Point(turn=turn, seq=seq, tokens=0) for turn, seq in ((2, 3), (6, 9)))
    took = [(1, 0), (2, 1), (3, 0), (5, 1), (7, 1), (9, 0), (11, 1)]
    assert [(one.turn, one.number) for one in numbered([late, early], took)] == [(6, 3), (2, 1)]


def test_without_a_count_of_tokens_the_planners_estimate_is_taken() -> None:
    second = record(2, took(CALL, bytes=60), called(TOOL_CALL, "calc"))
    assert point([FIRST, second, record(3, took(TOOL_CALL, "calc"), NEXT)]) == Point(turn=2, seq=3, tokens=300 + 60)


def test_a_call_that_was_made_again_moves_the_point_and_one_without_an_answer_does_not() -> None:
    more = ids.call_id(RUN, 3, 0)
    third = record(3, took(TOOL_CALL, "calc", "failed"))
    fourth = record(4, called(more, "calc", again=TOOL_CALL))
    fifth = record(5, took(more, "calc"), called(ids.call_id(RUN, 4, 0)))
    moved, stays = point([FIRST, SECOND, third, fourth, fifth]), point([FIRST, SECOND, third, fourth])
    assert moved is not None
    assert stays is not None
    assert [(moved.turn, moved.seq), (stays.turn, stays.seq)] == [(3, 5), (2, 3)]
