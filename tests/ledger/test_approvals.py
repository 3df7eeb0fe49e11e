"""Requests in the ledger's tables: as many batches as you like, folded again, or built anew, they say the same."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.bus import Bus
from callboard.testing.records import BusSink, Play
from callboard_contracts import approval, ids, names
from callboard_contracts.journal import Record
from callboard_contracts.policy import Rule
from callboard_services.ledger.fold import fold
from callboard_services.ledger.requests import Approvals, page
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import At, Rows
from tests.ledger.archive import eventually
from tests.ledger.conftest import Ledger, ask, run_id

ROOT = run_id(1)
WHO = ("ann", "bob", "cat")
ESCALATED = approval.Escalated(at_ms=1, to=("group:ops",), about=approval.About(tool="pay", quorum=2, expires_ms=10**6))
Step = tuple[str, approval.Event]


def requested(number: int, *approvers: str, tool: str = "pay") -> Step:
    call = ids.call_id(ROOT, 2, number)
    asked = approval.Request(
        id=call, run=ROOT, tool=tool, version="1", rule=Rule(name="r", approvers=approvers, quorum=2), digest="first",
        arguments={"question": "Why?"},
    )  # fmt: skip
    return call, approval.Requested(request=asked, at_ms=1000 + number, expires_ms=10**6, objective="Settle it")


def voted(call: str, who: str, vote: approval.Choice, *, digest: str = "first", to: str = "") -> Step:
    return call, approval.Voted(id=f"{call}:{who}", vote=vote, principal=who, digest=digest, to=to, at_ms=2000)


def decided(call: str, outcome: approval.Outcome, *by: str) -> Step:
    return call, approval.Decided(outcome=outcome, by=by, reason="because", at_ms=3000)


def listed(steps: list[Step], *, batch: int = 100, times: int = 1, **question: Any) -> list[dict[str, Any]]:
    """Fold steps in batches, as often as said, and ask for a page."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.db")
        try:
            for start in [start for _ in range(times) for start in range(0, len(steps), batch)]:
                rows = Rows()
                for seq, (call, event) in enumerate(steps[start : start + batch], start + 1):
                    fold(rows, At("default", call, seq, seq), Record(causes=("c",), events=(event,)))
                store.write(rows, "JOURNAL-0", "then", start + batch)
            return page(store, "default", Approvals(**question))
        finally:
            store.close()


def votes_of(call: str) -> st.SearchStrategy[Step]:
    return st.one_of(
        st.builds(voted, st.just(call), st.sampled_from(WHO), st.sampled_from(["approve", "deny"])),
        st.builds(voted, st.just(call), st.sampled_from(WHO), st.just("edit"), digest=st.sampled_from(["x", "y"])),
        st.builds(voted, st.just(call), st.sampled_from(WHO), st.just("delegate"), to=st.sampled_from(WHO)),
        st.just((call, ESCALATED)),
    )


FIRST = requested(0, "ann", "group:finance")


@settings(max_examples=25)
@given(st.lists(votes_of(FIRST[0]), max_size=8), st.integers(1, 5))
def test_how_records_are_batched_changes_nothing(votes: list[Step], batch: int) -> None:
    steps = [FIRST, requested(1), *votes]
    assert listed(steps, batch=batch) == listed(steps)


def test_a_request_is_listed_with_who_may_decide_who_approved_and_how_it_ended() -> None:
    call = FIRST[0]
    steps = [FIRST, voted(call, "bob", "approve"), voted(call, "ann", "edit", digest="second")]
    (row,) = listed(steps)
    assert (row["approved_by"], row["edited"], row["approvers"]) == (["ann"], True, ["ann", "group:finance"])
    steps += [voted(call, "ann", "delegate", digest="second", to="cat"), decided(call, "denied", "cat")]
    (row,) = listed(steps)
    assert (row["status"], row["decided_by"], row["comment"]) == ("denied", ["cat"], "because")
    assert (row["approvers"], row["approved_by"]) == (["cat", "group:finance"], [])
    assert (row["objective"], row["quorum"], row["requested_ms"], row["decided_ms"]) == ("Settle it", 2, 1000, 3000)


def test_a_question_is_listed_by_its_own_words() -> None:
    (row,) = listed([requested(0, tool=names.ASK)])
    assert (row["reason"], row["approvers"]) == ("Why?", [])


def test_whoever_may_decide_finds_a_request_by_name_by_group_and_when_anybody_may() -> None:
    anybody = requested(1)
    steps = [FIRST, anybody]
    assert [row["request"] for row in listed(steps, principal="bob")] == [anybody[0]]
    assert len(listed(steps, principal="bob", groups=("finance",))) == len(listed(steps, principal="ann")) == 2
    steps.append(voted(FIRST[0], "ann", "delegate", to="bob"))
    assert len(listed(steps, principal="ann")) == 1
    assert len(listed(steps, principal="bob")) == 2
    steps.append((FIRST[0], ESCALATED))
    assert [row["request"] for row in listed(steps, group="ops")] == [FIRST[0]]


def test_another_tenant_sees_nothing() -> None:
    with TemporaryDirectory() as folder:
        store, rows = Store(Path(folder) / "ledger.db"), Rows()
        fold(rows, At("acme", FIRST[0], 1, 1), Record(causes=("c",), events=(FIRST[1],)))
        store.write(rows, "JOURNAL-0", "then", 1)
        assert (len(page(store, "acme", Approvals())), page(store, "umbra", Approvals())) == (1, [])
        store.close()


async def test_tables_that_are_deleted_are_built_anew_and_list_the_same(
    bus: Bus, ledger: Ledger, tmp_path: Path
) -> None:
    play = Play(BusSink(bus))
    await play.accept(ROOT)
    call = FIRST[0]
    for request, event in (FIRST, voted(call, "bob", "approve"), decided(call, "approved", "bob"), requested(1)):
        await play.record("approval", request, event)
    before = await _both(ledger, bus)
    shutil.rmtree(tmp_path / "data")
    assert await _both(ledger, bus) == before
    assert [row["status"] for row in before] == ["open", "approved"]


async def _both(ledger: Ledger, bus: Bus) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = (await ask(bus, "approvals")).get("approvals", [])
        return len(found) == 2

    async with ledger():
        await eventually(there)
    return list(found)
