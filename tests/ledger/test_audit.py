"""The ledger signs how far every actor's records go: in time, in one chain, and provable whatever was lost since."""

import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from callboard.audit import merkle
from callboard.audit.signing import is_signed
from callboard.bus import Bus, layout, reader
from callboard.bus.purge import purge
from callboard.testing.records import BusSink, Play
from callboard_contracts import ids, subjects, wire
from callboard_contracts.audit import Checkpoint
from callboard_contracts.journal import link_of
from callboard_services.ledger.audit import auditor
from tests.ledger.archive import GROUPS, SOON, eventually, left, write_tree
from tests.ledger.conftest import KEEP, Ledger, ask, ledger_at, run_id

RUN = run_id(1)


async def checkpoints(bus: Bus, run: str = RUN) -> list[Checkpoint]:
    """Return every checkpoint of a run's journal, and check that they are one chain."""
    subject = subjects.audit(layout.journal_of(run, GROUPS))
    found = [wire.decode(one.body, Checkpoint) async for one in reader.scan(bus, layout.AUDIT, subject)]
    before: Checkpoint | None = None
    for one in found:
        assert is_signed(wire.encode(one.head), one.signature, one.head.key)
        assert one.head.root == merkle.root(one.tails)
        assert (one.head.nth, one.head.prev) == (
            (before.head.nth + 1, sha256(wire.encode(before.head)).hexdigest()) if before else (1, "")
        )
        before = one
    return found


async def tails(bus: Bus, run: str) -> dict[str, tuple[int, str]]:
    """Return the last record of each actor of a tree, from the journal."""
    found: dict[str, tuple[int, str]] = {}
    stream = layout.journal_of(run, GROUPS)
    async for one in reader.scan(bus, stream, subjects.records_of_tree("default", run)):
        where = subjects.Subject.parse(one.stored_subject).address
        actor = f"default.{where.actor}.{where.tree if where.actor == 'tree' else where.run}"
        found[actor] = (one.seq, link_of(one.body))
    return found


def proved(answer: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Return what an answer proves, and check the proofs."""
    roots = {one["head"]["nth"]: one["head"]["root"] for one in answer["checkpoints"]}
    for one in answer["tails"]:
        path = [(side, half) for side, half in one["path"]]
        assert merkle.climbed((one["actor"], one["seq"], one["link"]), path) == roots[one["checkpoint"]]
    assert answer["upto"] >= max(one["seq"] for one in answer["tails"])
    return {one["actor"]: (one["seq"], one["link"]) for one in answer["tails"]}


async def test_every_actor_of_a_tree_is_proved_to_end_where_it_ends(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        for number in range(1, 6):
            await write_tree(bus, run_id(number))
        answer = await ask(bus, "audit", run=RUN)
        assert proved(answer) == await tails(bus, RUN)
        assert len(answer["tails"]) == 3  # the root, its sub-agent, and the guard
        assert await checkpoints(bus)


async def test_a_run_that_goes_on_is_proved_as_far_as_it_went(bus: Bus, ledger: Ledger) -> None:
    play = Play(BusSink(bus))
    async with ledger():
        await play.accept(RUN)
        first = await ask(bus, "audit", run=RUN)
        assert proved(first) == await tails(bus, RUN)
        await play.end(RUN, "completed", "x", 0, [])
        second = await ask(bus, "audit", run=RUN)
        assert proved(second) == await tails(bus, RUN) != proved(first)
        assert second["upto"] > first["upto"]


async def test_a_tree_that_closed_is_signed_soon_though_nobody_asks(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor, "SOON_S", 0.05)
    async with ledger():
        await write_tree(bus, RUN)

        async def signed() -> bool:
            found = {actor for one in await checkpoints(bus) for actor, *_ in one.tails}
            return set(await tails(bus, RUN)) <= found

        await eventually(signed)


async def test_what_came_while_no_ledger_lived_is_signed_by_the_next(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        await write_tree(bus, RUN)
        await ask(bus, "audit", run=RUN)
    other = next(run_id(n) for n in range(2, 99) if _together(run_id(n)))
    await write_tree(bus, other)
    async with ledger():
        assert proved(await ask(bus, "audit", run=other)) == await tails(bus, other)
        assert proved(await ask(bus, "audit", run=RUN)) == await tails(bus, RUN)
        assert [one.head.nth for one in await checkpoints(bus)] == [1, 2]


async def test_a_ledger_that_died_before_it_signed_signs_what_it_had_folded(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        await write_tree(bus, RUN)
        await ask(bus, "run", run=RUN, min_seq=max(seq for seq, _ in (await tails(bus, RUN)).values()))
        assert await checkpoints(bus) == []
    async with ledger():
        assert proved(await ask(bus, "audit", run=RUN)) == await tails(bus, RUN)


async def test_both_databases_can_be_deleted(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    async with ledger():
        await write_tree(bus, RUN)
        before = await ask(bus, "audit", run=RUN)
    for path in (tmp_path / "data").glob("*.db*"):
        path.unlink()
    async with ledger():
        assert await ask(bus, "audit", run=RUN) == before
        assert len(await checkpoints(bus)) == 1


async def test_the_index_can_be_deleted_while_the_ledger_runs(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    async with ledger():
        await write_tree(bus, RUN)
        before = await ask(bus, "audit", run=RUN)
        for path in (tmp_path / "data").glob("audit.db*"):
            path.unlink()
        other = next(run_id(n) for n in range(2, 99) if _together(run_id(n)))
        await write_tree(bus, other)
        assert proved(await ask(bus, "audit", run=other)) == await tails(bus, other)
        assert proved(await ask(bus, "audit", run=RUN)) == proved(before)


async def test_two_ledgers_write_one_chain(fresh_broker: str, bus: Bus, tmp_path: Path) -> None:
    async with (
        ledger_at(fresh_broker, tmp_path / "one", retention_s=KEEP),
        ledger_at(fresh_broker, tmp_path / "two", retention_s=KEEP),
    ):
        for number in range(1, 9):
            await write_tree(bus, run_id(number), child=False)
            for _ in range(3):  # whoever answers
                assert proved(await ask(bus, "audit", run=run_id(number))) == await tails(bus, run_id(number))
    assert len({one.head.key for n in range(1, 9) for one in await checkpoints(bus, run_id(n))}) == 2


async def test_an_archived_tree_is_proved_as_before(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        await write_tree(bus, RUN)
        before = await ask(bus, "audit", run=RUN)
    async with ledger(retention_s=SOON):
        await left(bus, RUN)
        after = await ask(bus, "audit", run=RUN)
        assert (after["tails"], after["checkpoints"]) == (before["tails"], before["checkpoints"])


async def test_a_tail_that_was_purged_stays_in_the_proof(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        await write_tree(bus, RUN)
        before = proved(await ask(bus, "audit", run=RUN))
        ended = str(subjects.Address.of_run("default", RUN).at("log", "ended"))
        assert await purge(bus, layout.journal_of(RUN, GROUPS), ended)
        assert proved(await ask(bus, "audit", run=RUN)) == before != await tails(bus, RUN)


async def test_the_key_is_its_owners_and_stays(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    async with ledger():
        key = (await ask(bus, "key"))["key"]
    path = tmp_path / "data" / "audit.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with ledger():
        assert (await ask(bus, "key"))["key"] == key


async def test_a_key_that_cannot_be_read_is_told_and_never_replaced(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "data" / "audit.key"
    path.parent.mkdir()
    path.write_text("no key")
    async with ledger():
        await write_tree(bus, RUN, child=False)
        answer = await ask(bus, "audit", run=RUN)
        assert (answer["error"], "audit.key" in answer["detail"]) == ("unavailable", True)
        assert (await ask(bus, "key"))["error"] == "unavailable"
    assert path.read_text() == "no key"
    assert await checkpoints(bus) == []


async def test_a_run_that_nobody_knows_is_told_so(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        assert (await ask(bus, "audit", run=RUN))["error"] == "unknown_run"
        other = await ask(bus, "audit", nonsense=1)
        assert other["error"] == "invalid_request"


def _together(run: str) -> bool:
    return layout.journal_of(run, GROUPS) == layout.journal_of(RUN, GROUPS) and ids.is_ulid(run)
