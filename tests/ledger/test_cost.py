"""What was spent, by every dimension: always the sum of the calls, however much of it was summed up before."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.testing.records import Costs, ListSink, Play
from callboard_contracts import goal, guard, ids, run, wire
from callboard_contracts.journal import Record
from callboard_contracts.subjects import Subject
from callboard_services.ledger.cost.answer import cost
from callboard_services.ledger.cost.question import DIMENSIONS, Cost, Dimension
from callboard_services.ledger.fold import fold
from callboard_services.ledger.schema import DAY_MS
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import At, Row, Rows
from tests.ledger.conftest import run_id

HOUR_MS = 3_600_000
START_MS = 20_000 * DAY_MS
TENANT = "default"

Plan = list[tuple[int, int, int, run.Status]]
statuses: st.SearchStrategy[run.Status] = st.sampled_from(("completed", "failed", "cancelled"))
plans = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 10**6), st.integers(0, 3), statuses), min_size=1, max_size=6
)
"""Runs: rounds, the price of a model call, how many sub-agents, how it ends."""


def played(plan: Plan) -> ListSink:
    """Write trees of several users and skills, each with sub-agents."""
    sink = ListSink()

    async def write() -> None:
        play = Play(sink)
        for number, (rounds, price, children, status) in enumerate(plan):
            root, costs = run_id(number), Costs(model=price, tool=number)
            labels = {"team": "even" if number % 2 else "odd"}
            submit = goal.Submit(id=root, objective="x", principal=f"user-{number % 3}", labels=labels)
            for child in range(children):
                await play.write(ids.call_id(root, 2, child), rounds=1, costs=costs, skill=f"skill-{child}")
            skill = f"skill-{number % 2}"
            await play.write(root, rounds=rounds, costs=costs, submit=submit, skill=skill, status=status)
        for number, (rounds, price, _, status) in enumerate(plan):
            if status == "cancelled":  # what nobody waited for any more comes after all
                late = ids.call_id(run_id(number), 2 * rounds, 7)
                await play.record("tree", run_id(number), guard.Settled(entries=((late, price + 1, 5),)))

    anyio.run(write)
    return sink


def moments(sink: ListSink) -> Iterator[tuple[At, Record]]:
    """Yield the records, seven hours apart."""
    for subject, seq, body in sink.messages:
        if ".log." in subject:
            where = Subject.parse(subject).address
            yield At(where.tenant, where.run, seq, START_MS + seq * 7 * HOUR_MS), wire.decode(body, Record)


@contextmanager
def folded(sink: ListSink, *, batch: int, seal_every: int) -> Iterator[Store]:
    """Fold what was written in batches of a size, and seal some trees after every so many."""
    records = list(moments(sink))
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.db")
        try:
            for number, start in enumerate(range(0, len(records), batch), 1):
                rows = Rows()
                for at, record in records[start : start + batch]:
                    fold(rows, at, record)
                store.write(rows, "JOURNAL-0", "then", records[start][0].seq)
                if seal_every and number % seal_every == 0:
                    store.seal(2)
            yield store
        finally:
            store.close()


def calls(store: Store) -> list[Row]:
    """Return every call with all that is asked of it: what answers are compared with."""
    return [row | {"tenant": TENANT, "day": row["day"]} for row in store.select("SELECT * FROM facts")]


def by_hand(found: list[Row], by: tuple[Dimension, ...]) -> dict[Any, tuple[int, int, int]]:
    """Add calls up: number, metered, billed."""
    sums: dict[Any, tuple[int, int, int]] = {}
    for row in found:
        key = tuple((row["skill"], row["depth"]) if name == "agent" else row[name] for name in by)
        before = sums.get(key, (0, 0, 0))
        billed = row["cost"] if row["status"] == "completed" else 0
        sums[key] = (before[0] + 1, before[1] + row["cost"], before[2] + billed)
    return sums


def told(store: Store, question: Cost) -> dict[Any, tuple[int, int, int]]:
    """Ask, and return the same."""
    found = cost(store, TENANT, question)
    rows = {}
    for row in found["rows"]:
        at = dict(zip(question.keys, row["at"], strict=True)) | {"tenant": TENANT}
        key = tuple((at["skill"], at["depth"]) if name == "agent" else at[name] for name in question.by)
        rows[key] = (row["calls"], row["cost_micro_usd"], row["billed_micro_usd"])
    assert sum(row[1] for row in rows.values()) == found["totals"]["cost_micro_usd"]
    return rows


ASKED: tuple[tuple[Dimension, ...], ...] = (
    *((name,) for name in DIMENSIONS if name != "call"),
    (), ("user", "skill"), ("user", "model"), ("skill", "tool"), ("day", "status"), ("user", "skill", "tool"),
    ("run", "tool"), ("day", "run"), ("agent", "user"), ("tenant", "model"),
)  # fmt: skip


@given(plans, st.integers(1, 40), st.integers(0, 3))
def test_costs_by_every_dimension_are_the_sums_of_the_calls_whatever_is_sealed(
    plan: Plan, batch: int, seal_every: int
) -> None:
    with folded(played(plan), batch=batch, seal_every=seal_every) as store:
        found = calls(store)
        for by in ASKED:
            assert told(store, Cost(by=by)) == by_hand(found, by), by
        while store.seal(10):
            pass
        assert store.select("SELECT * FROM unsealed") == []
        for by in ASKED:
            assert told(store, Cost(by=by)) == by_hand(found, by), by


times = st.integers(0, 400).map(lambda hours: START_MS + hours * HOUR_MS)
FILTERS = (
    ("skill", "skill-0"), ("skill", "skill-1"), ("skill", "nobody's"), ("user", "user-0"), ("user", ""),
    ("tool", "model"), ("tool", "files.read"), ("model", "stub"), ("status", "completed"), ("status", "failed"),
    ("label", "team"), ("label", "team:odd"), ("tree", run_id(0)), ("run", run_id(1)),
)  # fmt: skip
filters = st.lists(st.sampled_from(FILTERS), max_size=2).map(dict)


@given(plans, filters, times, times, st.sampled_from(ASKED), st.booleans())
def test_every_filter_and_time_leaves_exactly_the_calls_it_names(
    plan: Plan, given: dict[str, str], since: int, until: int, by: tuple[Dimension, ...], sealed: bool
) -> None:
    since, until = min(since, until), max(since, until) + 1
    sink = played(plan)
    labels = {run_id(number): "even" if number % 2 else "odd" for number in range(len(plan))}
    with folded(sink, batch=16, seal_every=2 if sealed else 0) as store:

        def meant(row: Row) -> bool:
            label = given.get("label", "team")
            fits = label == "team" or label == f"team:{labels[row['tree']]}"
            others = all(row[name] == value for name, value in given.items() if name != "label")
            return fits and others and since <= (row["asked_ms"] or 0) < until

        found = [row for row in calls(store) if meant(row)]
        asked: Any = given
        assert told(store, Cost(by=by, since_ms=since, until_ms=until, **asked)) == by_hand(found, by)


def test_pages_in_the_order_of_keys_are_together_what_is_asked_at_once() -> None:
    plan: Plan = [(2, 100 * number, number % 3, "completed") for number in range(12)]
    with folded(played(plan), batch=50, seal_every=3) as store:
        for by in ASKED:
            whole = cost(store, TENANT, Cost(by=by, order="key"))["rows"]
            pages: list[Row] = []
            more = True
            while more:
                after = tuple(pages[-1]["at"]) if pages else ()
                page = cost(store, TENANT, Cost(by=by, order="key", after=after, limit=3))
                pages += page["rows"]
                more = page["more"]
            assert pages == whole, by


def test_the_most_expensive_runs_and_trees_come_first() -> None:
    plan: Plan = [(1, price, 1, "completed") for price in (5, 900, 30, 7, 400)]
    with folded(played(plan), batch=20, seal_every=2) as store:
        runs = cost(store, TENANT, Cost(by=("run",), limit=3))["rows"]
        assert [row["run"] for row in runs] == [run_id(1), ids.call_id(run_id(1), 2, 0), run_id(4)]
        trees = cost(store, TENANT, Cost(by=("tree",), limit=2))
        assert [(row["tree"], row["cost_micro_usd"]) for row in trees["rows"]] == [(run_id(1), 1802), (run_id(4), 808)]
        assert trees["more"]


def test_what_comes_after_a_tree_was_summed_up_is_counted_once() -> None:
    sink = played([(1, 100, 0, "completed")])
    with folded(sink, batch=100, seal_every=1) as store:
        before = cost(store, TENANT, Cost(by=("tool",)))
        assert store.select("SELECT sealed FROM runs") == [{"sealed": 1}]
        rows = Rows()
        late = ids.call_id(run_id(0), 9, 0)
        fold(rows, At(TENANT, run_id(0), 99, START_MS), _record(guard.Settled(entries=((late, 77, 5),))))
        store.write(rows, "JOURNAL-0", "then", 99)
        assert store.select("SELECT sealed FROM runs") == [{"sealed": None}]
        after = cost(store, TENANT, Cost(by=("tool",)))
        assert after["totals"]["cost_micro_usd"] == before["totals"]["cost_micro_usd"] + 77
        store.seal(5)
        assert cost(store, TENANT, Cost(by=("tool",))) == after


def _record(*events: Any) -> Record:
    return Record(causes=("x",), events=events)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        (Cost(by=("call",)), "by"),
        (Cost(since_ms=5, until_ms=5), "until"),
        (Cost(by=("run",), after=("x",)), "after"),
        (Cost(by=("run",), order="key", after=("x", "y")), "after"),
    ],
)
def test_a_question_that_cannot_be_answered_names_its_parameter(question: Cost, names: str) -> None:
    assert question.problem().startswith(f"{names}:")
