"""What a person says to a tree, and how it closes, as promises of the guard."""

from callboard.actor import SEEN
from callboard_contracts import guard, names, run, subjects
from callboard_contracts.call import Call
from callboard_contracts.goal import Limits
from callboard_contracts.journal import Event, Record
from callboard_services.guard.settling import GRACE_MS
from tests.unit.given import ADDRESS, NOW, RUN, TreeOf, goal, results_of

CHILD = f"{RUN}-1-0"


def model_call(turn: int = 1, name: str = RUN) -> Call:
    request = {"type": "model.request.v1", "model": "m", "max_output_tokens": 1000, "prompt_tokens": 0}
    return Call(id=f"{name}-{turn}-0", tool=names.MODEL, arguments=request)


def echo(index: int = 0, turn: int = 1, name: str = RUN) -> Call:
    return Call(id=f"{name}-{turn}-{index}", tool="echo", arguments={"text": "hi"})


def with_child(limits: Limits | None = None) -> TreeOf:
    """Return a tree whose root asked for one sub-agent that has begun."""
    tree = TreeOf(limits)
    tree.proposes(Call(id=CHILD, tool=names.AGENT, arguments={"objective": "part"}))
    begins(tree)
    return tree


def begins(tree: TreeOf) -> object:
    accepted = run.Accepted(
        goal=goal(id=CHILD, limits=Limits(budget_micro_usd=None)),
        goal_digest="d",
        contract={},
        model="m",
        parent=RUN,
        deadline_ms=NOW,
    )
    return tree.reads(accepted, name=CHILD)


def pause(tree: TreeOf, name: str = RUN, cause: str = "p1") -> object:
    return tree.takes(guard.Pause(run=name, principal="ann"), cause=cause)


def of_type(found: object, type_: type[Event]) -> list[Event]:
    return [event for event in found if isinstance(event, type_)] if isinstance(found, tuple | list) else []


def commands(tree: TreeOf, found: object) -> list[tuple[str, object]]:
    assert isinstance(found, tuple)
    record = Record(causes=("x",), events=found)
    return [
        (subjects.Subject.parse(command.subject).address.run, command.body)
        for command in tree.actor.commands(ADDRESS, record)
    ]


def test_no_tool_call_of_a_paused_run_is_granted_and_none_is_forgotten() -> None:
    tree = TreeOf()
    pause(tree)
    (held,) = tree.proposes(echo(0), echo(1))
    assert isinstance(held, guard.Held)
    assert held.calls == (f"{RUN}-1-0", f"{RUN}-1-1")
    assert tree.state.reserved == {}


def test_a_model_call_of_a_paused_run_is_refused_so_that_it_is_made_anew_with_all_that_was_said() -> None:
    tree = TreeOf()
    pause(tree)
    assert results_of(tree.proposes(model_call())) == ["paused"]


def test_what_was_held_is_decided_when_the_run_is_resumed_and_checked_anew() -> None:
    tree = TreeOf(Limits(max_calls=1))
    pause(tree)
    calls = (echo(0), echo(1))
    tree.proposes(*calls)
    wish = guard.Resume(run=RUN, principal="bob")
    assert tree.actor.reads(tree.state, wish) == (1,)
    record = Record(causes=("x",), events=(run.Called(turn=1, at_ms=NOW, calls=calls),))
    found = tree.takes(wish, cause="r1", now=NOW + 9000, records={1: record})
    assert isinstance(found, tuple)
    assert results_of(list(found)) == ["granted", "call_budget"]
    assert [event.expires_ms for event in found if isinstance(event, guard.Granted)] == [NOW + 9000 + 60_000]
    assert tree.state.held == {}


def test_a_grant_beside_a_resumption_is_sent_as_a_command_of_its_own() -> None:
    tree = TreeOf()
    pause(tree)
    tree.proposes(echo())
    record = Record(causes=("x",), events=(run.Called(turn=1, at_ms=NOW, calls=(echo(),)),))
    found = tree.takes(guard.Resume(run=RUN), cause="r1", records={1: record})
    assert isinstance(found, tuple)
    assert tree.actor.lane(found) == "resumption"
    assert {type(body) for _, body in commands(tree, found)} == {run.Resume, Record}


def test_a_pause_covers_the_runs_below_and_those_that_begin_later() -> None:
    tree = with_child()
    found = pause(tree)
    assert [name for name, _ in commands(tree, found)] == [RUN, CHILD]
    late = TreeOf()
    late.proposes(Call(id=CHILD, tool=names.AGENT, arguments={"objective": "part"}))
    pause(late)
    opened = begins(late)
    assert commands(late, opened) == [(CHILD, run.Pause(nth=1))]
    assert results_of(late.proposes(model_call(name=CHILD), name=CHILD)) == ["paused"]


def test_a_run_that_is_paused_itself_stays_so_when_its_parent_is_resumed() -> None:
    tree = with_child()
    pause(tree, CHILD)
    pause(tree, RUN, "p2")
    found = tree.takes(guard.Resume(run=RUN), cause="r1")
    assert [name for name, _ in commands(tree, found)] == [RUN]
    assert results_of(tree.proposes(model_call(name=CHILD), name=CHILD)) == ["paused"]


def test_a_wish_that_is_delivered_again_changes_nothing() -> None:
    tree = TreeOf()
    pause(tree)
    assert pause(tree) == SEEN
    tree.takes(guard.Resume(run=RUN), cause="r1")
    assert pause(tree) == SEEN
    assert not tree.state.is_paused(RUN)
    assert isinstance(tree.takes(guard.Steer(run=RUN, text="x"), cause="s1"), tuple)
    assert tree.takes(guard.Steer(run=RUN, text="x"), cause="s1") == SEEN


def test_what_a_person_says_reaches_the_run_and_those_below() -> None:
    tree = with_child()
    found = tree.takes(guard.Steer(run=RUN, text="in French", principal="ann"), cause="s1")
    said = run.Steer(text="in French", principal="ann")
    assert commands(tree, found) == [(RUN, said), (CHILD, said)]


def test_the_end_of_a_run_ends_the_runs_that_it_asked_for_begun_or_not() -> None:
    for tree in (with_child(), TreeOf()):
        if not tree.state.reserved:
            tree.proposes(Call(id=CHILD, tool=names.AGENT, arguments={"objective": "part"}))
        found = tree.reads(run.Ended(status="completed", open=(CHILD,)))
        assert isinstance(found, tuple)
        assert tree.actor.lane(found) == "cancelled"
        assert [name for name, body in commands(tree, found) if isinstance(body, run.Cancel)] == [CHILD]


def test_a_sub_agent_that_nobody_waits_for_any_more_is_cancelled() -> None:
    tree = with_child()
    found = tree.proposes(model_call(2), turn=2, settled=((CHILD, run.IN_FULL, 0),))
    assert [event.run for event in of_type(found, guard.Cancelled)] == [CHILD]  # type: ignore[union-attr]


def test_a_tree_whose_calls_have_not_answered_closes_when_they_do_and_pays_what_they_cost() -> None:
    tree = TreeOf()
    tree.proposes(model_call())
    found = tree.reads(run.Ended(status="cancelled", open=(CHILD,)))
    assert of_type(found, guard.Closed) == []
    assert tree.actor.timer_ms(tree.state) == NOW + 60_000 + GRACE_MS
    taken = run.Taken(call=CHILD, tool=names.MODEL, status="completed", seq=9, cost_micro_usd=300, late=True)
    found = tree.reads(run.Took(results=(taken,)))
    assert of_type(found, guard.Closed) == [guard.Closed(run=RUN, committed_micro_usd=300, tokens=0, calls=1)]
    assert tree.state.reserved_micro_usd == 0


def test_a_tree_closes_with_its_last_sub_agent_when_that_ends_after_the_root() -> None:
    tree = with_child()
    asked = model_call(name=CHILD)
    tree.proposes(asked, name=CHILD)
    found = tree.reads(run.Ended(status="completed", settled=((CHILD, 0, 0),)))
    assert [event.calls for event in of_type(found, guard.Closing)] == [(asked.id,)]  # type: ignore[union-attr]
    found = tree.reads(run.Ended(status="completed", settled=((asked.id, 300, 7),)), name=CHILD)
    assert [event.run for event in of_type(found, guard.Closed)] == [CHILD, RUN]  # type: ignore[union-attr]
    assert tree.state.closed


def test_a_tree_whose_calls_never_answer_pays_them_in_full_and_closes() -> None:
    tree = TreeOf()
    tree.proposes(model_call())
    tree.reads(run.Ended(status="cancelled", open=(CHILD,)))
    until = tree.actor.timer_ms(tree.state)
    assert tree.takes(run.Wake(), now=until - 1) == SEEN
    found = tree.takes(run.Wake(), now=until)
    assert of_type(found, guard.Closed) == [guard.Closed(run=RUN, committed_micro_usd=1000, tokens=1000, calls=1)]
    assert tree.takes(run.Wake(), now=until) == SEEN


def test_nothing_is_granted_between_the_end_of_the_root_and_its_closing() -> None:
    tree = TreeOf()
    tree.proposes(model_call())
    tree.reads(run.Ended(status="cancelled", open=(CHILD,)))
    assert results_of(tree.proposes(echo(turn=2), turn=2)) == ["cancelled"]


def test_executors_hear_a_cancellation_whatever_else_its_record_says() -> None:
    tree = with_child()
    pause(tree)
    resumed = tree.takes(guard.Resume(run=RUN), cause="r1")
    cancelled = tree.takes(guard.Cancel(run=CHILD), cause="c1")
    assert isinstance(cancelled, tuple)
    assert isinstance(resumed, tuple)
    assert tree.actor.lane((*cancelled, *resumed)) == "cancelled"


def test_a_closed_tree_hears_nothing() -> None:
    tree = TreeOf()
    tree.reads(run.Ended(status="completed"))
    assert tree.actor.finished(tree.state)
    assert pause(tree) == SEEN
    assert tree.takes(guard.Cancel(run=RUN), cause="c") == SEEN
