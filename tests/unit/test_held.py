"""Whatever was held goes on, however many of the run's records asked for it; a wish reaches its own tree alone."""

import msgspec

from callboard.actor import Dead
from callboard_contracts import guard, ids, run
from callboard_contracts.call import Call
from callboard_contracts.journal import Record
from tests.unit.given import NOW, RUN, TreeOf, message, results_of


def echo(turn: int) -> run.Called:
    made = Call(id=ids.call_id(RUN, turn, 0), tool="echo", arguments={"text": "hi"})
    return run.Called(turn=turn, at_ms=NOW, calls=(made,))


def test_calls_that_were_held_one_record_after_the_other_all_go_on() -> None:
    tree = TreeOf()
    tree.takes(guard.Pause(run=RUN))
    asked = {seq: Record(causes=("x",), events=(echo(turn),)) for seq, turn in ((7, 2), (8, 3))}
    for seq, record in asked.items():
        found = tree.actor.decide(tree.state, message(record, seq=seq), tree.facts)
        assert isinstance(found, tuple)
        for event in found:
            tree.state = tree.actor.evolve(tree.state, event)
    wish = guard.Resume(run=RUN)
    assert tree.actor.reads(tree.state, wish) == (7, 8)
    resumed = msgspec.structs.replace(message(wish, cause="y"), records=asked)
    decided = tree.actor.decide(tree.state, resumed, tree.facts)
    assert isinstance(decided, tuple)
    assert results_of(list(decided)) == ["granted", "granted"]


def test_a_wish_about_another_tree_or_about_no_run_is_set_aside() -> None:
    tree = TreeOf()
    other = ids.ulid(1, b"0123456789")
    for name in (other, "no run", "", f"{RUN}-x"):
        for wish in (guard.Pause(run=name), guard.Cancel(run=name), guard.Steer(run=name, text="x")):
            assert isinstance(tree.takes(wish), Dead)
