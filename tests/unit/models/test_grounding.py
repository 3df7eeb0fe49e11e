"""Which values of an output occur in no tool result."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from callboard_services.models.grounding import Claims, leaves, ungrounded

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
RESULTS = [
    {"rows": [{"name": "Ada Lovelace", "paid": 1234.5, "note": "Paid in full,\non 2024-01-05"}], "total": 1_234},
    "The parcel weighs 12kg and was sent to  Turin – by “express”.",
    {"first": "Grace", "last": "Hopper", "change": -5},
]


@given(JSON, st.lists(JSON, max_size=2))
def test_whatever_is_copied_from_a_result_is_grounded(result: Any, others: list[Any]) -> None:
    assert ungrounded(result, [*others, result]) == ()


@given(JSON, st.lists(JSON, max_size=2))
def test_each_part_of_a_result_is_grounded_by_itself(result: Any, others: list[Any]) -> None:
    for _, leaf in leaves(result):
        assert ungrounded({"value": leaf}, [*others, {"rows": [result]}]) == ()


@given(st.lists(JSON, max_size=3), st.from_regex(r"\A[b-df-hj-np-tv-z]{12}\Z"))
def test_an_invented_word_is_found(results: list[Any], word: str) -> None:
    assume(word not in str(results).casefold())
    assert ungrounded({"a": [True, None, "", word]}, results) == ("/a/3",)


@given(JSON, st.permutations(RESULTS))
def test_results_may_come_in_any_order(output: Any, results: list[Any]) -> None:
    assert ungrounded([output, "Ada paid Hopper."], results) == ungrounded([output, "Ada paid Hopper."], RESULTS)


def test_what_a_longer_text_claims_may_stand_in_several_results() -> None:
    claims = Claims("The parcel for Ada Lovelace and Grace was 12 kg.")
    assert [claims.look(result) for result in ("Ada Lovelace", "Grace", "nothing", "12")] == [True, True, True, False]
    assert claims.missing == ()


@given(JSON)
def test_without_results_every_claim_is_ungrounded(output: Any) -> None:
    claims = {at for at, leaf in leaves(output) if leaf not in (None, True, False) or type(leaf) in (int, float)}
    blank = {at for at, leaf in leaves(output) if isinstance(leaf, str) and not leaf.strip()}
    found = set(ungrounded(output, []))
    assert found <= claims - blank
    assert {at for at, leaf in leaves(output) if isinstance(leaf, int | float) and not isinstance(leaf, bool)} <= found


@pytest.mark.parametrize(
    "value",
    [
        1234,
        1234.0,
        "1,234",
        "1234.00",
        1234.5,
        -5,
        12,
        2024,
        "ada  LOVELACE",
        "in full, on 2024-01-05",
        'by "express"',
        "to Turin - by",
        "Grace",
        "name",
        "",
        True,
        None,
        "Ada Lovelace paid 1,234.50 and Hopper changed it by -5 in 2024.",
        "We found that nothing else was ever paid or sent.",
    ],
)
def test_what_occurs_in_another_writing_is_grounded(value: Any) -> None:
    assert ungrounded(value, RESULTS) == ()


@pytest.mark.parametrize(
    "value",
    [
        6,
        -1234,
        1235,
        123,
        "Lovelac",
        "Grace Hopper",
        "Ada Turin",
        "art",
        "12,345",
        "Ada Lovelace paid 1,999.50 in full to her friend.",
        "In the end the parcel was sent to Milan by somebody.",
    ],
)
def test_what_does_not_occur_is_ungrounded(value: Any) -> None:
    assert ungrounded(value, RESULTS) == ("",)


def test_pointers_are_escaped_as_the_standard_says() -> None:
    assert ungrounded({"a/b": {"m~n": ["x"]}}, []) == ("/a~1b/m~0n/0",)


def test_numbers_in_a_list_without_spaces_are_found_apart_and_together() -> None:
    assert ungrounded([100, 200, 100_200], ["100,200"]) == ()
