"""What records change in the tables: over random runs, without a broker."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from callboard.testing.records import Costs, ListSink, Play
from callboard_contracts import call, guard, ids, run, wire
from callboard_contracts.journal import Record
from callboard_contracts.subjects import Subject
from callboard_services.ledger.fold import fold
from callboard_services.ledger.history import Runs, runs
from callboard_services.ledger.queries import OneRun, one_run
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import At, Rows

ROOT = ids.ulid(1_767_225_600_000, b"0123456789")
costs = st.integers(0, 10**9)
plans = st.lists(st.tuples(st.integers(1, 4), costs, costs), min_size=1, max_size=4)


def played(plan: list[tuple[int, int, int]]) -> ListSink:
    """Write a root and sub-agents of it, each with its own number of rounds and prices."""
    sink = ListSink()

    async def write() -> None:
        play = Play(sink)
        for index, (rounds, model, tool) in enumerate(plan):
            run_id = ROOT if index == 0 else ids.call_id(ROOT, 2, index)
            await play.write(run_id, rounds=rounds, costs=Costs(model=model, tool=tool))

    anyio.run(write)
    return sink


def folded(store: Store, sink: ListSink, *, batch: int) -> None:
    """Fold what was written, in batches of a size."""
    records = [message for message in sink.messages if ".log." in message[0]]
    for start in range(0, len(records), batch):
        rows, part = Rows(), records[start : start + batch]
        for subject, seq, body in part:
            where = Subject.parse(subject).address
            fold(rows, At(where.tenant, where.run, seq, seq * 10), wire.decode(body, Record))
        store.write(rows, "JOURNAL-0", "then", part[-1][1])


def shown(sink: ListSink, *, batch: int) -> dict[str, Any]:
    """Return the root as the tables tell it."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.db")
        try:
            folded(store, sink, batch=batch)
            found = one_run(store, "default", OneRun(run=ROOT))
        finally:
            store.close()
    assert found is not None
    return found


@given(plans)
def test_a_trees_cost_is_the_sum_of_its_calls_to_the_micro_dollar(plan: list[tuple[int, int, int]]) -> None:
    root = shown(played(plan), batch=1000)
    assert root["tree_cost_micro_usd"] == sum(rounds * (model + tool) for rounds, model, tool in plan)
    assert root["cost_micro_usd"] == sum(one["cost_micro_usd"] for one in root["breakdown"])
    assert root["tree_cost_micro_usd"] == root["cost_micro_usd"] + sum(
        child["cost_micro_usd"] for child in root["children"]
    )


@given(plans, st.integers(1, 20))
def test_how_records_are_batched_changes_nothing(plan: list[tuple[int, int, int]], batch: int) -> None:
    sink = played(plan)
    assert shown(sink, batch=batch) == shown(sink, batch=1000)


def test_a_call_that_never_answered_costs_what_was_reserved() -> None:
    sink = ListSink()

    async def write() -> None:
        play = Play(sink)
        await play.accept(ROOT)
        open_call = ids.call_id(ROOT, 1, 0)
        wanted = call.Call(id=open_call, tool="files.read")
        await play.record("run", ROOT, run.Called(turn=1, at_ms=1, calls=(wanted,)))
        await play.record("tree", ROOT, guard.Granted(call=wanted, source=1, expires_ms=2, reserved_micro_usd=700))
        await play.end(ROOT, "failed", None, 0, [], unanswered=(open_call,))

    anyio.run(write)
    root = shown(sink, batch=3)
    assert root["tree_cost_micro_usd"] == 700
    assert [one["status"] for one in root["breakdown"]] == ["unanswered"]


def test_a_late_result_does_not_change_what_the_guard_has_settled() -> None:
    sink = ListSink()

    async def write() -> None:
        play = Play(sink)
        await play.accept(ROOT)
        late = ids.call_id(ROOT, 1, 0)
        wanted = call.Call(id=late, tool="files.read")
        await play.record("tree", ROOT, guard.Granted(call=wanted, source=1, expires_ms=2, reserved_micro_usd=700))
        await play.record("tree", ROOT, guard.Settled(entries=((late, 700, 0),)))
        taken = run.Taken(call=late, tool="files.read", status="completed", seq=9, cost_micro_usd=40, late=True)
        await play.record("run", ROOT, run.Took(results=(taken,)))
        await play.record("tree", ROOT, guard.Settled(entries=((late, 40, 0),)))

    anyio.run(write)
    for batch in (1, 100):
        assert shown(sink, batch=batch)["tree_cost_micro_usd"] == 700


def test_a_run_that_could_not_start_is_told_with_its_reason() -> None:
    sink = ListSink()

    async def write() -> None:
        await Play(sink).record("run", ROOT, run.Refused(code="no_model", message="There is none.", skill="_"))

    anyio.run(write)
    root = shown(sink, batch=1)
    assert (root["status"], root["code"], root["reason"], root["skill"]) == (
        "refused",
        "no_model",
        "There is none.",
        "",
    )


def test_a_paused_run_says_so_until_it_goes_on_and_its_end_is_not_overwritten() -> None:
    sink, found = ListSink(), []

    async def write() -> None:
        play = Play(sink)
        await play.accept(ROOT)
        await play.record("run", ROOT, run.Paused(at_ms=1, nth=1))
        found.append(shown(sink, batch=1)["status"])
        await play.record("run", ROOT, run.Resumed(at_ms=2, nth=2))
        found.append(shown(sink, batch=1)["status"])
        await play.end(ROOT, "failed", None, 0, [])
        await play.record("tree", ROOT, guard.Paused(id="x", run=ROOT, nth=3, open=(ROOT,)))
        found.append(shown(sink, batch=1)["status"])

    anyio.run(write)
    assert found == ["paused", "running", "failed"]


def test_a_run_that_waits_for_a_person_says_so_and_is_found_by_that_also_after_a_pause() -> None:
    sink, found = ListSink(), []

    async def write() -> None:
        play = Play(sink)
        await play.accept(ROOT)
        for event in (
            run.Parked(at_ms=1, nth=1, calls=(ids.call_id(ROOT, 1, 0),)),
            run.Paused(at_ms=2, nth=1),
            run.Resumed(at_ms=3, nth=2),
            run.Parked(at_ms=4, nth=2),
        ):
            await play.record("run", ROOT, event)
            found.append((shown(sink, batch=1)["status"], listed(sink, "waiting"), listed(sink, "running")))

    anyio.run(write)
    waits: tuple[str, list[str], list[str]] = ("waiting", ["waiting"], [])
    assert found == [waits, ("paused", [], []), waits, ("running", [], ["running"])]


def listed(sink: ListSink, status: str) -> list[str]:
    """Return the statuses of the runs that are found by one."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.db")
        try:
            folded(store, sink, batch=100)
            return [row["status"] for row in runs(store, "default", Runs(status=status))]
        finally:
            store.close()


def test_the_turns_of_a_run_that_lives_are_its_questions_for_a_step_and_nothing_else() -> None:
    sink = ListSink()
    step, summing, kept_back, open_step = (ids.call_id(ROOT, turn, 0) for turn in (1, 2, 3, 4))

    async def write() -> None:
        play = Play(sink)
        await play.accept(ROOT)
        for made, arguments in ((step, {}), (summing, {"summarise": True}), (kept_back, {}), (open_step, {})):
            wanted = call.Call(id=made, tool="model", arguments=arguments)
            await play.record("run", ROOT, run.Called(turn=ids.turn_of(made), at_ms=1, calls=(wanted,)))
        answered = run.Taken(call=step, tool="model", status="completed", seq=9)
        summed_up = run.Taken(call=summing, tool="model", status="completed", seq=10, context_tokens=500)
        paused = run.Taken(call=kept_back, tool="model", status="refused", seq=11, code="paused")
        await play.record("run", ROOT, run.Took(results=(answered, summed_up, paused)))

    anyio.run(write)
    for batch in (1, 100):
        assert (shown(sink, batch=batch)["turns"], shown(sink, batch=batch)["calls"]) == (2, 4)
