"""The nearest rows are the nearest rows, however they came to be there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard_services.memory import vector
from callboard_services.memory.vectors import CANDIDATES, Vectors

DICE = np.random.default_rng(7)


def unit(count: int, dimensions: int = 96) -> np.ndarray:
    """Return random directions, as float16."""
    found = DICE.standard_normal((count, dimensions))
    scaled: np.ndarray = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)
    return scaled


def filled(rows: np.ndarray, order: list[int]) -> Vectors:
    vectors = Vectors(rows.shape[1])
    for at in order:
        vectors.put(f"{at:05d}", f"a{at % 3}", "fact" if at % 2 else "note", at, rows[at])
    return vectors


def test_the_nearest_of_a_few_are_exactly_those_with_the_largest_cosines() -> None:
    rows, wanted = unit(CANDIDATES), unit(1)[0]
    vectors = filled(rows, list(range(CANDIDATES)))
    exact = np.argsort(-(rows.astype(np.float64) @ wanted.astype(np.float64)))[:10]
    assert [id_ for id_, _ in vectors.nearest(wanted, vectors.allowed(None), 10)] == [f"{at:05d}" for at in exact]


def test_of_many_the_near_ones_are_found_among_those_that_point_nowhere() -> None:
    rows, wanted = unit(5000), unit(1)[0]
    near = DICE.choice(5000, 20, replace=False)
    rows[near] = (wanted + 0.08 * DICE.standard_normal((20, 96))).astype(np.float16)
    vectors = filled(rows, list(range(5000)))
    found = {id_ for id_, _ in vectors.nearest(wanted, vectors.allowed(None), 20)}
    assert found == {f"{at:05d}" for at in near}


def test_the_answer_does_not_depend_on_the_order_of_writing_nor_on_what_was_there_before() -> None:
    rows = unit(3000)
    straight = filled(rows, list(range(3000)))
    other = filled(rows[::-1].copy(), list(range(3000)))  # every slot holds something else first
    for at in DICE.permutation(3000):
        other.drop([f"{at:05d}"])
        other.put(f"{at:05d}", f"a{at % 3}", "fact" if at % 2 else "note", int(at), rows[at])
    for wanted in unit(20):
        masks = [vectors.allowed(["a0", "a1"], ["fact"]) for vectors in (straight, other)]
        one, two = straight.nearest(wanted, masks[0], 50), other.nearest(wanted, masks[1], 50)
        assert one == two


def test_equals_are_all_candidates_and_come_by_their_ids() -> None:
    rows = np.repeat(unit(1), 2 * CANDIDATES, axis=0)
    vectors = filled(rows, list(DICE.permutation(2 * CANDIDATES)))
    found = vectors.nearest(rows[0], vectors.allowed(None), 5)
    assert [id_ for id_, _ in found] == [f"{at:05d}" for at in range(5)]


def test_a_row_that_is_dropped_is_neither_near_nor_new_and_its_room_is_used_again() -> None:
    rows = unit(10)
    vectors = filled(rows, list(range(10)))
    vectors.drop(["00003", "nobody"])
    assert "00003" not in [id_ for id_, _ in vectors.nearest(rows[3], vectors.allowed(None), 10)]
    vectors.put("new", "a0", "fact", 99, rows[3])
    assert vectors.newest(vectors.allowed(None), 2) == ["new", "00009"]
    assert len(vectors) == 10


@pytest.mark.parametrize(("since", "until", "left"), [(0, 0, 10), (5, 0, 5), (0, 5, 5), (4, 6, 2)])
def test_a_time_range_holds_its_beginning_and_not_its_end(since: int, until: int, left: int) -> None:
    vectors = filled(unit(10), list(range(10)))
    assert vectors.allowed(None, (), since, until).sum() == left


def test_an_audience_or_a_kind_that_no_row_has_leaves_nothing() -> None:
    vectors = filled(unit(10), list(range(10)))
    assert not vectors.allowed(["nobody"]).any()
    assert not vectors.allowed(None, ["episode"]).any()
    assert vectors.allowed(None, ids=["00001", "nobody"]).sum() == 1


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=64).filter(lambda v: sum(x * x for x in v) > 1e-6))
@settings(max_examples=50)
def test_a_vector_that_is_stored_comes_back_with_length_one(values: list[float]) -> None:
    back = vector.unpack(vector.pack(values)).astype(np.float64)
    assert abs(np.linalg.norm(back) - 1) < 2e-3
