"""The tree actor, as promises."""

from hypothesis import given as forall
from hypothesis import strategies as st

from callboard.actor import SEEN
from callboard_contracts import guard, model, names, run
from callboard_contracts.call import Call
from callboard_contracts.goal import Limits
from callboard_contracts.journal import Record
from callboard_contracts.registry import Facts
from tests.unit.given import ADDRESS, NOW, RUN, TreeOf, facts, goal, results_of


def asks(index: int = 0, turn: int = 1, name: str = RUN, tokens: int = 1000) -> Call:
    """Return a model call whose worst case is `tokens` micro-dollars."""
    request = {"type": "model.request.v1", "model": "m", "max_output_tokens": tokens, "prompt_tokens": 0}
    return Call(id=f"{name}-{turn}-{index}", tool=names.MODEL, arguments=request)


def echo(index: int = 0, turn: int = 1, name: str = RUN, **arguments: object) -> Call:
    return Call(id=f"{name}-{turn}-{index}", tool="echo", arguments=arguments or {"text": "hi"})


def delegates(index: int = 0, turn: int = 1, name: str = RUN, **arguments: object) -> Call:
    return Call(id=f"{name}-{turn}-{index}", tool=names.AGENT, arguments={"objective": "part"} | arguments)


def accepted(
    name: str, parent: str, limits: Limits | None = None, tools: tuple[str, ...] | None = None
) -> run.Accepted:
    return run.Accepted(
        goal=goal(id=name, limits=limits or Limits(budget_micro_usd=None)),
        goal_digest="d",
        contract={},
        tools=tools,
        model="m",
        parent=parent,
        deadline_ms=NOW,
    )


def test_a_call_within_every_limit_is_granted_with_its_worst_case_reserved() -> None:
    tree = TreeOf()
    (granted,) = tree.proposes(asks())
    assert isinstance(granted, guard.Granted)
    assert (granted.reserved_micro_usd, tree.state.reserved_micro_usd) == (1000, 1000)


def test_a_lone_grant_is_the_command_that_its_executors_pull() -> None:
    tree = TreeOf()
    found = tree.proposes(asks())
    assert tree.actor.lane(found) == "call.model"
    assert tree.actor.commands(ADDRESS, Record(causes=("x",), events=tuple(found))) == []


def test_grants_that_share_a_record_are_sent_one_by_one_and_only_once() -> None:
    tree = TreeOf()
    found = tree.proposes(echo(0), echo(1))
    commands = tree.actor.commands(ADDRESS, Record(causes=("x",), events=tuple(found)))
    assert [command.subject.rsplit(".", 3)[-3:] for command in commands] == [
        ["call", "echo", f"{RUN}-1-0"],
        ["call", "echo", f"{RUN}-1-1"],
    ]
    assert all(command.once for command in commands)


def test_an_unknown_tool_is_refused_with_the_names_that_exist() -> None:
    (refused,) = TreeOf().proposes(Call(id=f"{RUN}-1-0", tool="rm.rf", arguments={}))
    assert isinstance(refused, guard.Refused)
    assert refused.code == "unknown_tool"
    assert "echo" in refused.message


def test_arguments_off_the_schema_are_refused_before_anything_runs() -> None:
    assert results_of(TreeOf().proposes(echo(wrong=1))) == ["arguments_invalid"]


def test_a_tool_that_the_run_may_not_use_is_refused() -> None:
    assert results_of(TreeOf(tools=("note",)).proposes(echo())) == ["tool_not_allowed"]


def test_a_refusal_reaches_the_run_as_a_result() -> None:
    tree = TreeOf(tools=())
    found = tree.proposes(echo())
    (command,) = tree.actor.commands(ADDRESS, Record(causes=("x",), events=tuple(found)))
    assert command.subject.endswith(f"{RUN}.in.result")
    assert command.id == f"{RUN}-1-0"


def test_money_that_is_not_there_is_not_granted() -> None:
    tree = TreeOf(Limits(budget_micro_usd=1500))
    assert results_of(tree.proposes(asks(0), asks(1))) == ["granted", "money_budget"]


def test_settling_releases_the_reservation_and_commits_the_cost() -> None:
    tree = TreeOf(Limits(budget_micro_usd=1500))
    tree.proposes(asks())
    found = tree.proposes(asks(turn=2), turn=2, settled=((f"{RUN}-1-0", 400, 60),))
    assert results_of(found) == ["granted"]
    assert (tree.state.committed_micro_usd, tree.state.reserved_micro_usd, tree.state.tokens) == (400, 1000, 60)


def test_a_call_that_never_answered_is_committed_in_full() -> None:
    tree = TreeOf()
    tree.proposes(asks())
    tree.proposes(echo(turn=2), turn=2, settled=((f"{RUN}-1-0", run.IN_FULL, 0),))
    assert tree.state.committed_micro_usd == 1000


def test_an_overrun_is_booked_and_not_hidden() -> None:
    tree = TreeOf(Limits(budget_micro_usd=1000))
    tree.proposes(asks())
    tree.reads(run.Ended(status="completed", settled=((f"{RUN}-1-0", 1700, 10),)))
    assert tree.state.committed_micro_usd == 1700


def test_the_end_of_the_root_closes_the_tree_with_its_bill() -> None:
    tree = TreeOf()
    tree.proposes(asks())
    found = tree.reads(run.Ended(status="completed", settled=((f"{RUN}-1-0", 700, 900),)))
    assert isinstance(found, tuple)
    assert found[-1] == guard.Closed(run=RUN, committed_micro_usd=700, tokens=900, calls=1)
    assert tree.proposes(echo(turn=2), turn=2) == []


def test_tokens_and_calls_have_limits_of_their_own() -> None:
    assert results_of(TreeOf(Limits(max_tokens=999)).proposes(asks())) == ["token_budget"]
    assert results_of(TreeOf(Limits(max_calls=1)).proposes(echo(0), echo(1))) == ["granted", "call_budget"]


def test_a_turn_that_was_decided_is_not_decided_again() -> None:
    tree = TreeOf()
    tree.proposes(echo())
    assert tree.reads(run.Called(turn=1, at_ms=NOW, calls=(echo(),))) == SEEN


def test_sub_agents_have_a_depth_and_a_number() -> None:
    assert results_of(TreeOf(Limits(max_depth=0)).proposes(delegates())) == ["depth_budget"]
    assert results_of(TreeOf(Limits(max_runs=2)).proposes(delegates(0), delegates(1))) == ["granted", "run_budget"]


def test_a_sub_agent_that_was_never_granted_is_not_opened() -> None:
    tree = TreeOf()
    assert tree.reads(accepted(f"{RUN}-1-0", RUN), name=f"{RUN}-1-0") == SEEN


def test_a_sub_agent_gets_no_tool_that_its_parent_has_not() -> None:
    tree = TreeOf(tools=("agent.run", "note"))
    assert results_of(tree.proposes(delegates(tools=["echo"]))) == ["tool_not_allowed"]
    tree.proposes(delegates(turn=2), turn=2)
    child = f"{RUN}-2-0"
    tree.reads(accepted(child, RUN, tools=None), name=child)
    assert tree.state.runs[child].tools == ("agent.run", "note")


def test_a_slice_limits_a_sub_agent_and_counts_in_the_tree() -> None:
    tree = TreeOf(Limits(budget_micro_usd=10_000))
    tree.proposes(delegates(budget_usd=0.0015))
    child = f"{RUN}-1-0"
    tree.reads(accepted(child, RUN, Limits(budget_micro_usd=1500)), name=child)
    assert results_of(tree.proposes(asks(0, name=child), asks(1, name=child), name=child)) == [
        "granted",
        "money_budget",
    ]
    assert tree.state.reserved_micro_usd == 1000


def test_a_model_without_a_price_is_granted_at_nothing_and_says_so() -> None:
    known = facts()
    spec = known.tools[names.MODEL].spec
    from msgspec.structs import replace

    unpriced = replace(
        known.tools[names.MODEL], spec=replace(spec, models=(replace(spec.models[0], input_micro_usd=None),))
    )
    (granted,) = TreeOf(known=Facts(tools=known.tools | {names.MODEL: unpriced})).proposes(asks())
    assert isinstance(granted, guard.Granted)
    assert (granted.reserved_micro_usd, granted.unpriced) == (0, True)


def test_cancelling_stops_every_grant_below_and_tells_each_open_run_once() -> None:
    tree = TreeOf()
    tree.proposes(delegates(0), delegates(1))
    child = f"{RUN}-1-0"
    tree.reads(accepted(child, RUN), name=child)
    cancel = guard.Cancel(run=RUN, reason="enough", principal="ann")
    decision = tree.takes(cancel)
    assert isinstance(decision, tuple)
    assert decision == (guard.Cancelled(run=RUN, reason="enough", principal="ann", open=(RUN, child)),)
    commands = tree.actor.commands(ADDRESS, Record(causes=("x",), events=decision))
    assert [command.subject.rsplit(".", 3)[-3:] for command in commands] == [
        [RUN, "in", "cancel"],
        [child, "in", "cancel"],
    ]
    assert results_of(tree.proposes(echo(turn=2), turn=2)) == ["cancelled"]
    assert tree.takes(cancel) == SEEN


def test_a_child_that_comes_after_the_cancellation_is_told_at_once() -> None:
    tree = TreeOf()
    tree.proposes(delegates())
    tree.takes(guard.Cancel(run=RUN))
    late = f"{RUN}-1-0"
    decision = tree.reads(accepted(late, RUN), name=late)
    assert isinstance(decision, tuple)
    assert [event.open for event in decision if isinstance(event, guard.Cancelled)] == [(late,)]


def test_cancelling_a_sub_agent_leaves_its_parent_alone() -> None:
    tree = TreeOf()
    tree.proposes(delegates())
    child = f"{RUN}-1-0"
    tree.reads(accepted(child, RUN), name=child)
    tree.takes(guard.Cancel(run=child))
    assert results_of(tree.proposes(echo(name=child), name=child)) == ["cancelled"]
    assert results_of(tree.proposes(echo(turn=2), turn=2)) == ["granted"]


MOVES = st.lists(st.tuples(st.lists(st.integers(0, 900), min_size=1, max_size=3), st.floats(0, 1)), max_size=30)


@forall(MOVES, st.integers(0, 5000))
def test_committed_plus_reserved_never_passes_the_budget_and_everything_is_released_in_the_end(
    moves: list[tuple[list[int], float]], budget: int
) -> None:
    tree = TreeOf(Limits(budget_micro_usd=budget, max_calls=10_000))
    settled: tuple[run.Settlement, ...] = ()
    for turn, (costs, part) in enumerate(moves, start=1):
        found = tree.proposes(*(asks(i, turn, tokens=cost) for i, cost in enumerate(costs)), turn=turn, settled=settled)
        granted = [event for event in found if isinstance(event, guard.Granted)]
        settled = tuple((event.call.id, int(event.reserved_micro_usd * part), 1) for event in granted)
    assert all(state.committed_micro_usd + state.reserved_micro_usd <= budget for state in tree.history)
    tree.reads(run.Ended(status="completed", settled=settled))
    assert tree.state.reserved_micro_usd == 0
    assert not tree.state.reserved
    assert isinstance(model.Request(model="m"), model.Request)
