import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.strategies import ADDRESSES, CALLS, KINDS, RUNS, SKILLS, SUBJECTS, TENANTS

from callboard_contracts import ids, subjects
from callboard_contracts.subjects import Address, Goal, Live, Subject, SubjectError

TREE = "01KDVDNA00CDGPRV32DXGQ4S11"


@given(SUBJECTS)
def test_a_journal_subject_reads_back_as_it_was_written(subject: Subject) -> None:
    assert Subject.parse(str(subject)) == subject


@given(TENANTS, SKILLS)
def test_a_goals_subject_reads_back_as_it_was_written(tenant: str, skill: str) -> None:
    assert Goal.parse(str(Goal(tenant, skill))) == Goal(tenant, skill)


@given(TENANTS, RUNS, KINDS)
def test_a_live_subject_reads_back_as_it_was_written(tenant: str, run: str, kind: str) -> None:
    live = Live(tenant, ids.tree_of(run), run, kind)
    assert Live.parse(str(live)) == live


@given(st.text())
def test_what_is_no_subject_is_refused_with_its_own_words(text: str) -> None:
    for form in (Goal, Subject, Live):
        with pytest.raises(SubjectError, match=r"is not cb|names partition"):
            form.parse(text)


@given(SUBJECTS)
def test_a_subject_of_another_partition_is_refused(subject: Subject) -> None:
    parts = str(subject).split(".")
    parts[3] = str((subject.address.partition + 1) % ids.PARTITIONS)
    with pytest.raises(SubjectError, match="partition"):
        Subject.parse(".".join(parts))


@given(ADDRESSES, KINDS)
def test_an_actors_records_are_within_its_fence_and_its_inputs_are_not(address: Address, kind: str) -> None:
    assert _matches(address.fence, str(address.at("log", kind)))
    assert not _matches(address.fence, str(address.at("in", kind)))
    assert not _matches(address.fence, str(address.at("send", kind)))


@given(TENANTS, st.lists(RUNS, min_size=2, max_size=2, unique=True))
def test_runs_are_fenced_apart_and_the_runs_of_a_tree_together(tenant: str, runs: list[str]) -> None:
    one, other = runs
    assert Address.of_run(tenant, one).fence != Address.of_run(tenant, other).fence
    assert Address.of_tree(tenant, one).fence == Address.of_tree(tenant, ids.tree_of(one)).fence


@given(ADDRESSES, KINDS)
def test_every_record_of_a_tree_is_within_the_filter_of_its_records(address: Address, kind: str) -> None:
    assert _matches(subjects.records_of_tree(address.tenant, address.tree), str(address.at("log", kind)))


@given(TENANTS, CALLS)
def test_a_result_goes_to_the_run_that_asked(tenant: str, call: str) -> None:
    subject = Subject.parse(subjects.result(tenant, call))
    assert (subject.address.run, subject.lane, subject.kind) == (ids.run_of(call), "in", "result")


@given(TENANTS, CALLS)
def test_what_a_call_streams_is_heard_by_those_who_follow_its_tree(tenant: str, call: str) -> None:
    subject = subjects.stream(tenant, call)
    assert _matches(subjects.live_tree(tenant, ids.tree_of(call)), subject)
    assert Live.parse(subject).kind == f"stream.{call}"


@given(ADDRESSES)
def test_a_timer_comes_out_where_it_was_armed_with_due_for_timer(address: Address) -> None:
    assert address.due == address.timer.replace(".timer.", ".due.", 1)
    assert address.timer.split(".")[3:] == str(address).split(".")[2:]


def test_no_other_tenants_subject_is_within_a_tenants_fence() -> None:
    assert not _matches(Address.of_run("acme", TREE).fence, str(Address.of_run("umbra", TREE).at("log", "accepted")))


def _matches(pattern: str, subject: str) -> bool:
    """Tell whether NATS would deliver a subject to a filter."""
    tokens, parts = pattern.split("."), subject.split(".")
    if tokens[-1] == ">":
        tokens, parts = tokens[:-1], parts[: max(len(tokens) - 1, 0)] if len(parts) >= len(tokens) else [""]
    return len(tokens) == len(parts) and all(t in ("*", p) for t, p in zip(tokens, parts, strict=True))
