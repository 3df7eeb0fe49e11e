"""The ledger on a real broker: it loses nothing, counts nothing twice, and can be deleted."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import msgspec
import pytest

from callboard.bus import Bus, NoAnswer, layout, reader
from callboard.bus.layout import journal_of
from callboard.server import start_server
from callboard.server.config import Plan
from callboard.testing.records import BusSink, Costs, Play
from callboard_contracts import goal, ids, subjects
from callboard_services.ledger import follow
from callboard_services.ledger.cost.question import DIMENSIONS
from tests.ledger.archive import SOON, eventually, left, write_tree
from tests.ledger.conftest import Ledger, ask, ledger_at, run_id


async def write_runs(bus: Bus, count: int, *, first: int = 0) -> None:
    play = Play(BusSink(bus))
    for number in range(first, first + count):
        labels = {"team": "even" if number % 2 == 0 else "odd"}
        submit = goal.Submit(id=run_id(number), objective=f"Goal {number}", labels=labels, principal="ada")
        await play.write(run_id(number), submit=submit, costs=Costs(model=100 + number), skill="totals")


async def all_runs(bus: Bus) -> list[dict[str, Any]]:
    """Return every run, once the ledger has folded the last record of each."""
    found: list[dict[str, Any]] = (await ask(bus, "runs", limit=200))["runs"]
    whole = [await run_of(bus, row["run"]) for row in found]
    return sorted(whole, key=lambda row: str(row["run"]))


async def run_of(bus: Bus, run: str) -> dict[str, Any]:
    """Return a run as of its last record."""
    last = await reader.last(bus, journal_of(run, 2), subjects.records_of_tree("default", run))
    assert last is not None
    answer = await ask(bus, "run", run=run, min_seq=last.seq)
    assert not answer["behind"]
    found: dict[str, Any] = answer["run"]
    return found


def change(database: Path, statement: str) -> None:
    """Change a ledger's tables behind its back."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


async def test_a_reader_sees_its_own_writes(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        for number in range(5):
            await write_runs(bus, 1, first=number)
            found = await run_of(bus, run_id(number))
            assert (found["status"], found["cost_micro_usd"]) == ("completed", 2 * (100 + number))
            assert found["labels"] == {"team": "odd" if number % 2 else "even"}


async def test_a_deleted_database_comes_back_the_same(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    await write_runs(bus, 12)
    async with ledger():
        before = [await run_of(bus, run_id(number)) for number in range(12)]
        await asyncio.sleep(0.2)
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    async with ledger():
        assert [await run_of(bus, run_id(number)) for number in range(12)] == before


async def costs(bus: Bus, *, most: int) -> dict[str, Any]:
    """Return what was spent by every dimension, once all of it is told."""
    found: dict[str, Any] = {}

    async def whole() -> bool:
        try:
            total = await ask(bus, "cost")
        except NoAnswer:  # it begins anew
            return False
        return total.get("behind") is False and total["totals"]["calls"] == most

    await eventually(whole)
    for by in DIMENSIONS:
        narrow = {"since_ms": 1} if by == "call" else {}
        found[by] = (await ask(bus, "cost", by=[by], order="key", **narrow))["rows"]
    return found


async def test_a_database_that_is_deleted_under_a_running_ledger_comes_back_with_the_same_costs(
    bus: Bus, ledger: Ledger, tmp_path: Path
) -> None:
    database = tmp_path / "data" / "ledger.db"
    await write_runs(bus, 8)
    async with ledger():
        before = await costs(bus, most=32)
        assert sum(row["cost_micro_usd"] for row in before["day"]) == sum(2 * (100 + number) for number in range(8))
        database.unlink()
        await eventually(lambda: asyncio.to_thread(database.exists))
        assert await costs(bus, most=32) == before
        await write_runs(bus, 1, first=8)
        assert (await run_of(bus, run_id(8)))["status"] == "completed"
        assert sum(row["calls"] for row in (await costs(bus, most=36))["tool"]) == 36


async def test_a_sum_that_takes_too_long_is_refused_with_advice_and_holds_up_nobody(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callboard_services.ledger.store._STEPS", 1)
    monkeypatch.setattr("callboard_services.ledger.cost.answer.PATIENCE_S", -1.0)
    async with ledger():
        await write_runs(bus, 2)
        asked = [ask(bus, "cost", by=["user", "skill", "tool"]) for _ in range(12)]
        answers, run = await asyncio.gather(asyncio.gather(*asked), run_of(bus, run_id(1)))
        assert run["status"] == "completed"
        assert [(one["error"], one["detail"][:3]) for one in answers] == [("invalid_request", "by:")] * 12


async def test_costs_of_runs_that_are_archived_come_back_from_the_files(
    bus: Bus, ledger: Ledger, tmp_path: Path
) -> None:
    runs = [run_id(number) for number in range(5)]
    for one in runs:
        await write_tree(bus, one)
    async with ledger(retention_s=SOON):
        await left(bus, *runs)
        before = await costs(bus, most=30)
        (tmp_path / "data" / "ledger.db").unlink()
        await write_runs(bus, 1, first=9)
        after = await costs(bus, most=34)
    assert [row for row in after["tree"] if row["tree"] in runs] == before["tree"]
    assert [row for row in after["run"] if row["run"].split("-")[0] in runs] == before["run"]
    assert [row for row in after["call"] if row["call"].split("-")[0] in runs] == before["call"]


async def test_a_damaged_database_is_built_anew(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    await write_runs(bus, 3)
    async with ledger():
        before = await run_of(bus, run_id(2))
    (tmp_path / "data" / "ledger.db").write_bytes(b"this is no database" * 500)
    async with ledger():
        assert await run_of(bus, run_id(2)) == before


async def test_what_is_folded_again_changes_nothing(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    await write_runs(bus, 6)
    async with ledger():
        before = [await run_of(bus, run_id(number)) for number in range(6)]
    change(tmp_path / "data" / "ledger.db", "UPDATE positions SET seq = seq / 2")
    async with ledger():
        await write_runs(bus, 1, first=6)
        await run_of(bus, run_id(6))
        assert [await run_of(bus, run_id(number)) for number in range(6)] == before


async def test_who_asks_for_a_record_does_not_wait_until_the_ledger_would_look_again(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_BUSY_S", 3600.0)
    monkeypatch.setattr(follow, "_IDLE_S", 3600.0)
    async with ledger():
        for number in range(5):
            await write_runs(bus, 1, first=number)
            assert (await run_of(bus, run_id(number)))["status"] == "completed"


async def test_what_nobody_asks_for_is_folded_too(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        await write_runs(bus, 3)

        async def told() -> bool:
            rows = (await ask(bus, "runs"))["runs"]
            return [row["status"] for row in rows] == ["completed"] * 3

        await eventually(told)


async def test_more_than_a_page_is_folded_whole(bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_PAGE", 7)
    monkeypatch.setattr(follow, "_BATCH", 3)
    monkeypatch.setattr(follow, "_BUSY_S", 3600.0)
    await write_runs(bus, 12)
    async with ledger():
        for number in range(12):
            assert (await run_of(bus, run_id(number)))["cost_micro_usd"] == 2 * (100 + number)


async def test_what_was_purged_unseen_is_passed_over(bus: Bus, ledger: Ledger) -> None:
    await write_runs(bus, 2)
    async with ledger():
        await run_of(bus, run_id(1))
    await write_runs(bus, 3, first=2)
    for gone in (0, 3):
        stream, subject = journal_of(run_id(gone), 2), subjects.records_of_tree("default", run_id(gone))
        await bus.api(f"STREAM.PURGE.{stream}", {"filter": subject})
    async with ledger():
        for number in (1, 2, 4):
            assert (await run_of(bus, run_id(number)))["status"] == "completed"
        rows = (await ask(bus, "runs"))["runs"]
        assert [row["run"] for row in rows] == [run_id(number) for number in (4, 2, 1, 0)]


async def made_anew(bus: Bus) -> None:
    for group in range(2):
        config = (await bus.api(f"STREAM.INFO.JOURNAL-{group}"))["config"]
        await bus.api(f"STREAM.DELETE.JOURNAL-{group}")
        await bus.api(f"STREAM.CREATE.JOURNAL-{group}", config)


async def test_other_streams_of_the_same_name_are_not_taken_for_those_that_were_folded(
    bus: Bus, ledger: Ledger
) -> None:
    await write_runs(bus, 4)
    async with ledger():
        await run_of(bus, run_id(3))
    await made_anew(bus)
    await write_runs(bus, 1, first=50)
    async with ledger():
        assert (await run_of(bus, run_id(50)))["status"] == "completed"
        assert [row["run"] for row in await all_runs(bus)] == [run_id(50)]


async def test_streams_that_are_made_anew_under_a_running_ledger_are_folded_from_their_start(
    bus: Bus, ledger: Ledger
) -> None:
    await write_runs(bus, 2)
    async with ledger():
        await run_of(bus, run_id(1))
        await made_anew(bus)
        await write_runs(bus, 8, first=50)

        async def rebuilt() -> bool:
            try:
                rows = (await ask(bus, "runs"))["runs"]
            except NoAnswer:  # it was asked while it began anew
                return False
            return [(row["run"], row["status"]) for row in rows] == expected

        expected = [(run_id(number), "completed") for number in range(57, 49, -1)]
        await eventually(rebuilt)


async def test_a_journal_restored_from_a_backup_is_told_as_it_is_now(tmp_path: Path) -> None:
    plan, backup = Plan(store=tmp_path / "nats", sync="2m"), tmp_path / "backup"

    @asynccontextmanager
    async def site() -> AsyncIterator[Bus]:
        async with start_server(plan) as server, await Bus.connect(server.url, name="test") as bus:
            await layout.provision(bus, 2)
            async with ledger_at(server.url, tmp_path / "data"):
                yield bus

    async with site() as bus:
        await write_runs(bus, 3)
        await all_runs(bus)
    copytree(plan.store, backup)
    async with site() as bus:
        await write_runs(bus, 6, first=10)
        assert (await run_of(bus, run_id(15)))["status"] == "completed"
    rmtree(plan.store)
    copytree(backup, plan.store)
    async with site() as bus:
        await write_runs(bus, 1, first=50)
        assert (await run_of(bus, run_id(50)))["status"] == "completed"
        assert [row["run"] for row in await all_runs(bus)] == [run_id(number) for number in (0, 1, 2, 50)]


async def test_the_durable_of_earlier_versions_is_removed(bus: Bus) -> None:
    async def durables() -> list[str]:
        return sorted((await bus.api(f"CONSUMER.NAMES.{layout.journal(1)}"))["consumers"])

    before = await durables()
    await layout.create_consumer(bus, layout.journal(1), layout.consumer("ledger", ["cb.*.*.*.*.*.log.>"]))
    assert len(await durables()) == len(before) + 1
    await layout.provision(bus, 2)
    assert await durables() == before


async def test_a_record_that_cannot_be_read_goes_to_the_dead_letters_and_stops_nobody(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        await bus.publish(str(subjects.Address.of_run("default", run_id(1)).at("log", "accepted")), b"not json")
        await write_runs(bus, 2, first=2)
        assert (await run_of(bus, run_id(3)))["status"] == "completed"
        await eventually(lambda: reader.last(bus, "DEAD", "cb.default.dead.ledger"))
    letter = await reader.last(bus, "DEAD", "cb.default.dead.ledger")
    assert letter is not None
    assert msgspec.json.decode(letter.body)["code"] == "undecodable"


async def test_runs_are_filtered_and_paged_newest_first(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        await write_runs(bus, 9)
        newest = [run_id(number) for number in range(8, -1, -1)]
        for one in newest:
            await run_of(bus, one)
        first = (await ask(bus, "runs", limit=4))["runs"]
        rest = (await ask(bus, "runs", limit=9, before=first[-1]["run"]))["runs"]
        assert [row["run"] for row in first + rest] == newest
        odd = (await ask(bus, "runs", label="team:odd"))["runs"]
        assert [row["run"] for row in odd] == newest[1::2]
        assert (await ask(bus, "runs", status="failed"))["runs"] == []
        assert (await ask(bus, "runs", skill="totals", label="team"))["runs"] != []
        assert (await ask(bus, "runs", label='x"] OR 1=1 --'))["runs"] == []


async def test_an_answer_is_never_larger_than_the_broker_takes(bus: Bus, ledger: Ledger) -> None:
    labels = {f"label-{number}": "x" * 250 for number in range(32)}
    async with ledger():
        await Play(BusSink(bus)).write(run_id(0), rounds=1600)
        found = await run_of(bus, run_id(0))
        assert (found["calls"], found["cost_micro_usd"]) == (3200, 1600 * 120)
        assert 1000 < len(found["breakdown"]) < 3200
        assert found["breakdown"][-1]["turn"] == 3200
        for number in range(1, 121):
            submit = goal.Submit(id=run_id(number), objective="x" * 500, labels=labels)
            await Play(BusSink(bus)).accept(run_id(number), submit=submit)
        for number in range(1, 121):
            await run_of(bus, run_id(number))
        seen: list[str] = []
        more = True
        while more:
            page = await ask(bus, "runs", limit=200, before=seen[-1] if seen else "")
            more = page["more"]
            seen += [row["run"] for row in page["runs"]]
        assert seen == [run_id(number) for number in range(120, -1, -1)]


async def test_a_tenant_never_reads_anothers_runs(bus: Bus, ledger: Ledger) -> None:
    async with ledger():
        await write_runs(bus, 1)
        await run_of(bus, run_id(0))
        other = await bus.request(subjects.ask("other", "ledger", "run"), msgspec.json.encode({"run": run_id(0)}))
        assert msgspec.json.decode(other.body)["error"] == "unknown_run"
        none = await bus.request(subjects.ask("other", "ledger", "runs"), b"{}")
        assert msgspec.json.decode(none.body)["runs"] == []


async def test_killed_at_random_it_counts_every_call_once(bus: Bus, ledger: Ledger) -> None:
    """Stops and starts while runs are written; what was under way is read again."""
    dice = random.Random(7)  # noqa: S311 - a seed that is the same at every run
    writing = asyncio.create_task(write_runs(bus, 40))
    while not writing.done():
        async with ledger():
            await asyncio.sleep(dice.uniform(0, 0.15))
    await writing
    async with ledger():
        for number in range(40):
            assert (await run_of(bus, run_id(number)))["cost_micro_usd"] == 2 * (100 + number)


def test_ids_of_the_test_are_ulids() -> None:
    assert all(ids.is_ulid(run_id(number)) for number in range(200))
