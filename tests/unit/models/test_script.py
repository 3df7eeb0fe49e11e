"""The file of a scripted model."""

from typing import Any

import msgspec
import pytest

from callboard_contracts import model
from callboard_contracts.errors import CallboardError
from callboard_services.models import script
from callboard_services.models.errors import ProviderError


def parsed(**parts: Any) -> script.Script:
    return script.parse(msgspec.json.encode(parts), "here")


def test_each_run_follows_the_first_steps_that_match_its_goal() -> None:
    runs = [{"match": "child", "steps": [{"output": 1}]}, {"match": "chi", "steps": [{"output": 2}]}]
    found = parsed(runs=runs, steps=[{"output": 3}])
    assert [script.step(found, goal, 0).output for goal in ("a child", "chi", "other")] == [1, 2, 3]


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"step": []}', '{"steps": [{"ouput": 1}]}', '{"steps": [{"fail": {"code": "no_such_code"}}]}'],
)
def test_a_file_that_is_no_script_is_refused_by_name(text: str) -> None:
    with pytest.raises(CallboardError, match="here") as caught:
        script.parse(text.encode(), "here")
    assert caught.value.code == "invalid_request"


def test_values_are_copied_from_results_wherever_they_stand() -> None:
    results = ['{"rows": [{"a/b": 7}]}', '"last"']
    value = {"n": [{"$result": 0, "at": "/rows/0/a~1b"}], "all": {"$result": -1}, "kept": {"$result": "x"}}
    assert script.filled(value, results) == {"n": [7], "all": "last", "kept": {"$result": "x"}}


@pytest.mark.parametrize("value", [{"$result": 4}, {"$result": 0, "at": "/no"}, {"$result": 1}])
def test_copying_what_is_not_there_is_an_error_and_not_an_invention(value: Any) -> None:
    with pytest.raises(ProviderError, match="not there"):
        script.filled(value, ['{"a": 1}', "[result elided: 9000 characters]"])


def test_a_step_gives_up_or_fails_as_it_says() -> None:
    gives_up, fails = parsed(steps=[{"give_up": "no"}, {"fail": {"code": "rate_limited", "free": True}}]).steps
    assert script.answer(gives_up, []) == model.Answer(give_up="no")
    with pytest.raises(ProviderError) as caught:
        script.answer(fails, [])
    assert (caught.value.code, caught.value.retryable, caught.value.free) == ("rate_limited", True, True)
