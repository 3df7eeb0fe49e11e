import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.contract.strategies import CALLS, RUNS, STEPS, ULIDS

from callboard_contracts import ids


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_ulid_is_valid_and_gives_its_time_back(milliseconds: int, entropy: bytes) -> None:
    ulid = ids.ulid(milliseconds, entropy)
    assert ids.is_ulid(ulid)
    assert ids.ulid_ms(ulid) == milliseconds


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2), st.binary(min_size=10, max_size=10))
def test_ulids_sort_by_their_time(times: list[int], entropy: bytes) -> None:
    assert [ids.ulid_ms(ulid) for ulid in sorted(ids.ulid(time, entropy) for time in times)] == sorted(times)


def test_a_ulid_is_26_upper_case_characters_without_i_l_o_and_u_and_at_most_128_bits() -> None:
    good = "01KDVDNA00CDGPRV32DXGQ4S11"
    assert ids.is_ulid(good)
    for bad in (good.lower(), good[:-1], good + "0", good[:-1] + "U", "8" + good[1:], good + "\n", ""):
        assert not ids.is_ulid(bad)


@given(RUNS, STEPS)
def test_a_call_names_its_run_its_turn_and_its_tree(run: str, step: tuple[int, int]) -> None:
    call = ids.call_id(run, *step)
    assert ids.is_call(call)
    assert (ids.run_of(call), ids.turn_of(call), ids.tree_of(call)) == (run, step[0], ids.tree_of(run))


@given(CALLS)
def test_a_call_can_be_the_run_of_a_sub_agent_one_deeper(call: str) -> None:
    assert ids.is_run(call)
    assert ids.depth_of(call) == ids.depth_of(ids.run_of(call)) + 1


@given(RUNS)
def test_lineage_goes_from_the_run_to_the_root_in_depth_plus_one_steps(run: str) -> None:
    lineage = ids.lineage(run)
    assert lineage[0] == run
    assert lineage[-1] == ids.tree_of(run)
    assert len(lineage) == ids.depth_of(run) + 1
    assert all(ids.run_of(child) == parent for child, parent in pairwise(lineage))


@given(RUNS)
def test_all_of_a_tree_is_in_one_partition_which_is_crc32_modulo_64(run: str) -> None:
    tree = ids.tree_of(run)
    assert ids.partition(tree) == zlib.crc32(tree.encode()) % 64
    assert 0 <= ids.partition(tree) < ids.PARTITIONS


def test_the_partition_of_a_known_tree_never_changes() -> None:
    assert ids.partition("01KDVDNA00CDGPRV32DXGQ4S11") == 23


@given(ULIDS)
def test_a_trace_id_is_the_ulid_in_hex(tree: str) -> None:
    trace = ids.trace_id(tree)
    assert len(trace) == 32
    assert int(trace, 16) >> 80 == ids.ulid_ms(tree)


@given(st.lists(ULIDS, min_size=2, max_size=2, unique=True))
def test_two_trees_have_two_traces(trees: list[str]) -> None:
    assert ids.trace_id(trees[0]) != ids.trace_id(trees[1])


@given(RUNS)
def test_a_span_id_is_16_hex_digits_and_not_zero(run: str) -> None:
    span = ids.span_id(run)
    assert len(span) == 16
    assert int(span, 16) != 0
    assert span == ids.span_id(run)


def test_the_span_id_of_a_known_call_never_changes() -> None:
    assert ids.span_id("01KDVDNA00CDGPRV32DXGQ4S11-2-0") == "533489748f2334b5"


@given(st.text())
def test_any_text_that_is_not_an_id_is_told_apart_without_an_error(text: str) -> None:
    assert not (ids.is_call(text) and ids.is_ulid(text))
    assert ids.is_run(text) == (ids.is_ulid(text) or ids.is_call(text))
