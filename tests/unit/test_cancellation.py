"""A cancellation reaches the executor, the guard and the run in any order; the run ends cancelled in each."""

from callboard_contracts import run
from callboard_contracts.call import Failed, Refused
from tests.unit.given import RUN, RunOf

MODEL_CALL = f"{RUN}-1-0"


def test_a_model_that_was_stopped_first_leaves_the_ending_to_the_word_that_stopped_it() -> None:
    taken = RunOf()
    found = taken.take(Failed(call=MODEL_CALL, code="cancelled", message="model was stopped"))
    assert isinstance(found, tuple)
    assert not any(isinstance(event, run.Ended | run.Called | run.Deferred) for event in found)
    taken.take(run.Cancel(reason="enough", principal="ada"))
    assert (taken.ended.status, taken.ended.reason) == ("cancelled", "enough")


def test_a_question_that_the_guard_refuses_because_of_it_ends_the_run_cancelled() -> None:
    taken = RunOf()
    taken.take(Refused(call=MODEL_CALL, code="cancelled", message="The run was cancelled: the run was cancelled"))
    assert (taken.ended.status, taken.ended.code) == ("cancelled", "cancelled")


def test_a_record_that_ends_a_run_is_found_as_its_ending_whatever_came_late_with_it() -> None:
    taken = RunOf()
    ending = taken.take(run.Cancel())
    late = taken.take(Failed(call=MODEL_CALL, code="cancelled", message="model was stopped"))
    assert isinstance(ending, tuple)
    assert isinstance(late, tuple)
    assert isinstance(late[0], run.Took)
    assert taken.actor.lane(ending + late) == "ended"
