"""Pages of runs: whatever is asked for, and however much of it is summed up, they hold what fits and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard_contracts import ids
from callboard_services.ledger import history
from callboard_services.ledger.history import Runs, runs
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row, Rows
from tests.ledger.conftest import run_id

TENANT = "default"
STATUSES = ("completed", "failed", "running")
Plan = list[tuple[int, int, int, int, bool]]
plans = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=25
)
"""Runs: status, skill, user, cost, whether a sub-agent belongs to it."""


def began(number: int) -> int:
    """Return when a run began: some at the same moment, and not in the order of their ids."""
    return 1000 + (number * 7 % 11) // 2


def write(store: Store, plan: Plan) -> list[Row]:
    """Write runs, and return them as they should be listed."""
    rows, told = Rows(), []
    for number, (status, skill, user, cost, child) in enumerate(plan):
        name, labels = run_id(number), {"team": "even" if number % 2 else "odd", "nth": str(number % 3)}
        found = {"run": name, "status": STATUSES[status], "skill": f"skill-{skill}", "user": f"user-{user}"}
        row = rows.run(name, TENANT)
        row.update(status=STATUSES[status], skill=f"skill-{skill}", principal=f"user-{user}", labels="{}")
        row.update(accepted_ms=began(number), ended_ms=5000, closed_ms=None if STATUSES[status] == "running" else 5000)
        tags = [tag for key, value in labels.items() for tag in (key, f"{key}:{value}")]
        rows.tags += [(TENANT, tag, began(number), name) for tag in tags]
        rows.call(ids.call_id(name, 1, 0), TENANT, number).update(tool="model", settled=cost)
        if child:
            other = ids.call_id(name, 2, 0)
            rows.run(other, TENANT).update(
                status="completed", skill="helper", accepted_ms=began(number) + 1, labels="{}"
            )
            rows.call(ids.call_id(other, 1, 0), TENANT, number).update(tool="model", settled=cost)
        told.append(found | {"tags": tags, "cost": cost * (1 + child), "at": began(number)})
    store.change(rows=rows)
    return sorted(told, key=lambda row: (row["at"], row["run"]), reverse=True)


@contextmanager
def stored(plan: Plan, seals: int) -> Iterator[tuple[Store, list[Row]]]:
    """Open a store with runs, some of them sealed."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.db")
        try:
            told = write(store, plan)
            store.seal(seals)
            yield store, told
        finally:
            store.close()


def fits(row: Row, question: Runs) -> bool:
    """Tell whether a run should be found."""
    least, most = question.min_cost_micro_usd, question.max_cost_micro_usd
    return all(
        (
            question.status in ("", row["status"]),
            question.skill in ("", row["skill"]),
            question.user in ("", row["user"]),
            all(tag in row["tags"] for tag in question.tags),
            row["at"] >= question.since_ms,
            not question.until_ms or row["at"] < question.until_ms,
            least is None or row["cost"] >= least,
            most is None or row["cost"] <= most,
        )
    )


OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(STATUSES),
    "skill": st.sampled_from(("skill-0", "skill-1", "helper")),
    "user": st.sampled_from(("user-0", "user-3")),
    "labels": st.lists(st.sampled_from(("team", "team:odd", "nth:1", "none")), max_size=2).map(tuple),
    "since_ms": st.integers(999, 1007),
    "until_ms": st.integers(999, 1007),
    "min_cost_micro_usd": st.integers(0, 8),
    "max_cost_micro_usd": st.integers(0, 8),
}
_COSTS = ((), ("min_cost_micro_usd",), ("max_cost_micro_usd",))
questions = st.tuples(
    st.lists(st.sampled_from([name for name in OPTIONS if "cost" not in name]), max_size=2), st.sampled_from(_COSTS)
).flatmap(lambda names: st.fixed_dictionaries({name: OPTIONS[name] for name in {*names[0], *names[1]}}))


@given(plans, st.integers(0, 25), questions, st.integers(1, 7), st.sampled_from((0, 3, 5000)))
def test_pages_are_together_the_runs_that_fit_newest_first(
    plan: Plan, seals: int, asked: dict[str, Any], limit: int, few: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, stored(plan, seals) as (store, told):
        patch.setattr(history, "_FEW", few)
        expected = [row["run"] for row in told if fits(row, Runs(**asked))]
        seen: list[str] = []
        while True:
            page = runs(store, TENANT, Runs(**asked, limit=limit, before=seen[-1] if seen else ""))
            seen += [row["run"] for row in page]
            if len(page) < limit:
                break
        assert seen == expected


@given(plans, st.integers(0, 25))
def test_what_a_run_is_told_to_cost_is_the_same_before_and_after_it_was_summed_up(plan: Plan, seals: int) -> None:
    with stored(plan, 0) as (store, told):
        before = runs(store, TENANT, Runs(children=True, limit=200))
        store.seal(seals)
        assert runs(store, TENANT, Runs(children=True, limit=200)) == before
        costs = {row["run"]: row["tree_cost_micro_usd"] for row in runs(store, TENANT, Runs(limit=200))}
        assert costs == {row["run"]: row["cost"] for row in told}


def test_sub_agents_are_listed_only_when_they_are_wanted() -> None:
    with stored([(0, 0, 0, 1, True)], 1) as (store, _):
        assert [row["run"] for row in runs(store, TENANT, Runs())] == [run_id(0)]
        found = runs(store, TENANT, Runs(children=True, skill="helper"))
        assert [row["run"] for row in found] == [ids.call_id(run_id(0), 2, 0)]


def test_a_page_after_a_run_that_nobody_knows_begins_at_its_time() -> None:
    with stored([(0, 0, 0, 1, False)], 1) as (store, _):
        assert len(runs(store, TENANT, Runs(before=run_id(99)))) == 1
        assert runs(store, TENANT, Runs(before=ids.ulid(5, b"0123456789"))) == []
        assert runs(store, TENANT, Runs(before="no id at all")) == []
