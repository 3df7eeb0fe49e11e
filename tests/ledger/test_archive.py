"""What is over leaves the journal: nothing of it is lost, and nothing of it begins again."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from callboard.bus import Bus, Conflict, layout, objects, reader
from callboard.testing.records import BusSink, Play
from callboard_contracts import goal, guard, run, subjects, wire
from tests.ledger.archive import (
    SOON,
    body_of,
    child_of,
    claim_of,
    folded,
    in_files,
    in_journal,
    left,
    recalled,
    told,
    write_tree,
)
from tests.ledger.conftest import Ledger, ask, run_id

README = Path(__file__).parents[2] / "services/callboard_services/ledger/README.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "archive"


async def test_every_message_of_a_tree_is_in_a_file_before_it_leaves_the_journal(
    bus: Bus, ledger: Ledger, folder: Path
) -> None:
    runs = [run_id(number) for number in range(6)]
    for one in runs:
        await write_tree(bus, one)
    before = {one: await in_journal(bus, one) for one in runs}
    async with ledger(retention_s=SOON):
        await left(bus, *runs)
        for one in runs:
            assert in_files(folder, one) == before[one]
            after = await in_journal(bus, one)
            assert len(after) < len(before[one]) / 4
            assert set(after) < set(before[one])


async def test_what_says_that_an_actor_is_over_stays(bus: Bus, ledger: Ledger) -> None:
    one = run_id(1)
    await write_tree(bus, one)
    last = {subject: seq for seq, subject, _ in await in_journal(bus, one)}
    async with ledger(retention_s=SOON):
        await left(bus, one)
    ends = [subject for subject in last if subject.endswith(".log.ended")]
    closed = str(subjects.Address.of_tree("default", one).at("log", "closed"))
    assert sorted(subject for _, subject, _ in await in_journal(bus, one)) == sorted([*ends, closed])
    assert len(ends) == 2


async def test_what_followed_the_end_of_a_run_stays_with_its_end(bus: Bus, ledger: Ledger) -> None:
    one, play = run_id(2), Play(BusSink(bus))
    await play.write(one)
    late = run.Taken(call=f"{one}-9-0", tool="files.read", status="completed", seq=1, late=True)
    await play.record("run", one, run.Took(results=(late,)))
    async with ledger(retention_s=SOON):
        await left(bus, one)
    found = [subject.split(".", 7)[7] for _, subject, _ in await in_journal(bus, one) if ".run." in subject]
    assert found == ["ended", "took"]


async def test_after_a_purge_a_fence_at_0_is_refused_for_every_actor(bus: Bus, ledger: Ledger) -> None:
    one = run_id(3)
    await write_tree(bus, one)
    async with ledger(retention_s=SOON):
        await left(bus, one)
    for name in (one, child_of(one)):
        for address in (subjects.Address.of_run("default", name), subjects.Address.of_tree("default", name)):
            fence = {wire.FENCE: "0", wire.FENCE_SUBJECT: address.fence}
            with pytest.raises(Conflict):
                await bus.publish(str(address.at("log", "accepted")), b"{}", fence)


async def test_nothing_leaves_before_the_retention_is_over(bus: Bus, ledger: Ledger) -> None:
    one = run_id(1)
    async with ledger(retention_s=1.0):
        await write_tree(bus, one)
        closed = asyncio.get_running_loop().time()
        await left(bus, one)
        assert asyncio.get_running_loop().time() - closed > 0.9


async def test_a_tree_of_which_anything_goes_on_stays(bus: Bus, ledger: Ledger) -> None:
    play = Play(BusSink(bus))
    open_root, open_child, over = run_id(1), run_id(2), run_id(3)
    await play.accept(open_root)
    await play.accept(child_of(open_child), parent=open_child)
    await play.write(open_child)
    before = [await in_journal(bus, one) for one in (open_root, open_child)]
    async with ledger(retention_s=SOON):
        await write_tree(bus, over)
        await left(bus, over)  # and the others were looked at in the same round
        assert [await in_journal(bus, one) for one in (open_root, open_child)] == before
        await play.end(child_of(open_child), "completed", "done", 0, [])
        await left(bus, open_child)


async def test_a_run_that_a_retry_still_reads_stays_until_that_ends(bus: Bus, ledger: Ledger) -> None:
    play = Play(BusSink(bus))
    old, again, third, other = (run_id(number) for number in range(4))
    await write_tree(bus, old)
    await play.write(again, submit=goal.Submit(id=again, objective="x", retry=goal.Retry(of=old)))
    await play.accept(third, submit=goal.Submit(id=third, objective="x", retry=goal.Retry(of=again)))
    before = await in_journal(bus, old)
    async with ledger(retention_s=SOON):
        await write_tree(bus, other)
        await left(bus, other)
        assert await in_journal(bus, old) == before
        await play.end(third, "completed", "done", 0, [])
        await left(bus, old, again)


async def test_a_run_is_told_as_before(bus: Bus, ledger: Ledger) -> None:
    one = run_id(4)
    await write_tree(bus, one)
    async with ledger(retention_s=0):
        before = await told(bus, one)
        assert not (await folded(bus, one))["archived"]
    async with ledger(retention_s=SOON):
        await left(bus, one)
        assert await told(bus, one) == before
        found = await folded(bus, one)
        assert (found["archived"], [child["archived"] for child in found["children"]]) == (True, [True])
        assert (await ask(bus, "runs"))["runs"][0]["archived"]


async def test_a_deleted_database_is_built_from_files_and_journal(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    old, new = [run_id(number) for number in range(5)], run_id(9)
    for one in old:
        await write_tree(bus, one)
    async with ledger(retention_s=SOON):
        await left(bus, *old)
    await write_tree(bus, new)
    async with ledger(retention_s=0):
        before = [await told(bus, one) for one in (*old, new)]
    for file in (tmp_path / "data").glob("ledger.db*"):
        file.unlink()
    journal = [await in_journal(bus, one) for one in (*old, new)]
    async with ledger(retention_s=0):
        assert [await told(bus, one) for one in (*old, new)] == before
        assert [row["archived"] for row in (await ask(bus, "runs"))["runs"]] == [False] + [True] * 5
        assert await recalled(bus, old[0]) != []
    assert [await in_journal(bus, one) for one in (*old, new)] == journal


async def test_the_ledger_tells_an_archived_tree_in_pages_that_the_broker_takes(bus: Bus, ledger: Ledger) -> None:
    one, sink = run_id(5), BusSink(bus)
    await Play(sink).write(one)
    sizes = (300_000, 500_000, 1_000_000, 10)
    for size in sizes:
        await sink.put(subjects.result("default", f"{one}-7-0"), b"x" * size, {"ce-id": f"size-{size}"})
    before = await in_journal(bus, one)
    async with ledger(retention_s=SOON):
        await left(bus, one)
        found = await recalled(bus, one)
        assert [(message["seq"], message["subject"]) for message in found] == [found_[:2] for found_ in before]
        bodies = {message["headers"].get("ce-id"): body_of(message) for message in found}
        assert [len(bodies[f"size-{size}"]) for size in sizes] == [300_000, 500_000, 0, 10]
        assert [message.get("cut", False) for message in found if message["seq"] == before[-2][0]] == [True]
        middle = before[len(before) // 2][0]
        assert [m["seq"] for m in await recalled(bus, one, limit=3)] == [seq for seq, _, _ in before]
        page = await ask(bus, "archived", run=one, after=middle, limit=1)
        assert [m["seq"] for m in page["messages"]] == [next(seq for seq, _, _ in before if seq > middle)]


async def test_a_tenant_never_reads_anothers_archive(bus: Bus, ledger: Ledger) -> None:
    one = run_id(6)
    await write_tree(bus, one)
    async with ledger(retention_s=SOON):
        await left(bus, one)
        answer = await bus.request(subjects.ask("other", "ledger", "archived"), wire.encode({"run": one}))
    assert b"not_found" in answer.body


async def test_claims_go_with_their_tree_and_files_stay(bus: Bus, ledger: Ledger) -> None:
    gone, stays = run_id(7), run_id(8)
    await write_tree(bus, gone)
    await objects.put_file(bus, gone, "report.txt", b"all is well")
    await bus.publish(claim_of(stays), b"mark")
    async with ledger(retention_s=SOON):
        await left(bus, gone)
    claims = reader.scan(bus, f"OBJ_{layout.ARTIFACTS}", f"$O.{layout.ARTIFACTS}.C.*.claim.>")
    assert [message.stored_subject async for message in claims] == [claim_of(stays)]
    assert await objects.get_file(bus, gone, "report.txt") == b"all is well"


async def test_a_second_ledger_leaves_what_another_has_archived(bus: Bus, ledger: Ledger, tmp_path: Path) -> None:
    one, two = run_id(1), run_id(2)
    await write_tree(bus, one)
    async with ledger(data="second"):
        before = await told(bus, one)
        async with ledger(retention_s=SOON):
            await left(bus, one)
    kept = await in_journal(bus, one)
    await write_tree(bus, two)
    async with ledger(retention_s=SOON, data="second"):
        await left(bus, two)
        assert await told(bus, one) == before
        assert (await folded(bus, one))["archived"]
        async with ledger():
            assert await recalled(bus, one)
            assert await recalled(bus, two)
    assert await in_journal(bus, one) == kept
    assert in_files(tmp_path / "second" / "archive", one) == []
    assert in_files(tmp_path / "second" / "archive", two) != []


async def test_one_of_two_ledgers_on_the_same_folder_archives(bus: Bus, ledger: Ledger, folder: Path) -> None:
    runs = [run_id(number) for number in range(4)]
    async with ledger(retention_s=SOON), ledger(retention_s=SOON):
        for one in runs:
            await write_tree(bus, one)
        await left(bus, *runs)
        before = [in_files(folder, one) for one in runs]
        assert all(len({seq for seq, _, _ in found}) == len(found) > 0 for found in before)


async def test_without_pyarrow_nothing_is_archived_and_the_log_says_so_once(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run_id(1)
    await write_tree(bus, one)
    before = await in_journal(bus, one)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with structlog.testing.capture_logs() as lines:
        async with ledger(retention_s=SOON):
            assert not (await folded(bus, one))["archived"]
    assert await in_journal(bus, one) == before
    assert len([line for line in lines if "callboard[ledger]" in line["event"]]) == 1


async def test_a_file_that_cannot_be_read_stops_nobody(bus: Bus, ledger: Ledger, folder: Path) -> None:
    folder.mkdir(parents=True)  # noqa: ASYNC240 - a test may wait for its disk
    (folder / "0000000000001-damaged.parquet").write_bytes(b"this is no parquet file" * 100)
    (folder / ".0000000000002-half.parquet.part").write_bytes(b"half")
    one = run_id(1)
    await write_tree(bus, one)
    async with ledger(retention_s=SOON):
        await left(bus, one)
        assert (await folded(bus, one))["archived"]
    assert not list(folder.glob(".*.part"))  # noqa: ASYNC240


async def test_two_tenants_may_choose_the_same_id(bus: Bus, ledger: Ledger) -> None:
    one = run_id(1)
    await Play(BusSink(bus)).write(one, submit=goal.Submit(id=one, objective="Ours"))
    theirs = Play(BusSink(bus), tenant="other")
    await theirs.accept(one, submit=goal.Submit(id=one, objective="Theirs"))
    seq = await theirs.record("tree", one, guard.Closed(run=one))
    async with ledger():
        mine = (await ask(bus, "run", run=one, min_seq=seq))["run"]
        assert (mine["objective"], mine["status"], len(mine["breakdown"])) == ("Ours", "completed", 4)
        answer = await bus.request(subjects.ask("other", "ledger", "run"), wire.encode({"run": one}))
    assert b"Theirs" in answer.body
    assert b'"breakdown":[]' in answer.body


async def test_the_readme_says_how_its_files_are_read(bus: Bus, ledger: Ledger, folder: Path) -> None:
    one = run_id(1)
    await write_tree(bus, one, child=False)
    async with ledger(retention_s=SOON):
        await left(bus, one)
    python, sql = (
        re.search(rf"^```{language}\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
        for language in ("python", "sql")
    )
    assert python is not None
    assert sql is not None
    found: dict[str, Any] = {}
    exec(python[1].replace('"archive"', repr(str(folder))), found)  # noqa: S102 - what we tell people to run
    kinds = {row["kind"]: row["seq_count"] for row in found["kinds"]}
    assert (kinds["accepted"], kinds["ended"], kinds["took"], kinds["result"]) == (1, 1, 4, 4)
    duckdb = pytest.importorskip("duckdb")
    rows = duckdb.sql(sql[1].replace("archive/", f"{folder}/")).fetchall()
    assert rows == [(one, "completed")]
