"""The archive's parts: what may leave, what a file promises, and what a purge must not take along."""

from pathlib import Path

import msgspec
import pytest

from callboard.bus import Bus, layout, reader
from callboard.lock import Lock
from callboard.settings import from_environment
from callboard.testing.records import BusSink, ListSink, Play
from callboard_contracts import call, run, subjects
from callboard_services.ledger.archive.message import Leaving, Message
from callboard_services.ledger.archive.parquet import DamagedError, Entry, Writer
from callboard_services.ledger.archive.reading import page, trees
from callboard_services.ledger.archive.sweep import sweep
from callboard_services.ledger.archive.tree import is_whole, messages, take_out
from callboard_services.ledger.batch import folded
from tests.ledger.archive import GROUPS, in_journal
from tests.ledger.conftest import run_id

ROOT = run_id(1)


def message(seq: int, body: bytes, *, tree: str = ROOT, kind: str = "log.called") -> Message:
    subject = f"{subjects.Address.of_run('default', tree)}.{kind}"
    return Message("JOURNAL-0", seq, seq * 10, subject, {"ce-id": f"m{seq}"}, body)


def entry(tree: str, row: int, rows: int) -> Entry:
    last = row + rows
    return Entry(
        tenant="default", tree=tree, stream="JOURNAL-0", created="then", row=row, rows=rows, last_seq=last, purges={}
    )


async def seen(sink: ListSink) -> Leaving:
    leaving = Leaving()
    for subject, seq, body in sink.messages:
        leaving.see(Message("JOURNAL-0", seq, seq, subject, {}, body))
    return leaving


async def test_a_tree_with_a_run_that_has_not_ended_is_not_over() -> None:
    sink = ListSink()
    play = Play(sink)
    await play.accept(f"{ROOT}-2-0", parent=ROOT)
    await play.write(ROOT)
    assert not (await seen(sink)).is_over
    await play.end(f"{ROOT}-2-0", "failed", None, 0, [])
    assert (await seen(sink)).is_over


async def test_inputs_that_no_record_took_leave_too_and_a_strange_subject_stops_nothing() -> None:
    sink = ListSink()
    await Play(sink).write(ROOT)
    seq = await sink.put(subjects.result("default", f"{ROOT}-9-0"), b"late", {})
    await sink.put(f"{subjects.Address.of_run('default', ROOT)}.odd", b"", {})
    purges = (await seen(sink)).purges()
    assert [before for group, before in purges.items() if group.endswith(".in.>")] == [seq + 1]
    assert not [group for group in purges if "odd" in group]


async def test_many_trees_leave_in_a_sweep_and_it_stops_at_what_is_not_archived(bus: Bus) -> None:
    sink = BusSink(bus)
    trees = [one for one in map(run_id, range(40)) if layout.journal_of(one, GROUPS) == "JOURNAL-0"]
    for one in trees:
        await Play(sink).write(one)
    known: dict[tuple[str, str], Entry] = {}
    for one in trees[:-2]:
        leaving = Leaving()
        async for found in messages(bus, "JOURNAL-0", "default", one):
            leaving.see(found)
        known["default", one] = msgspec.structs.replace(entry(one, 0, 1), purges=leaving.purges())
    gap = trees[len(trees) // 2]
    del known["default", gap]
    before = {one: await in_journal(bus, one) for one in trees}

    async def find(tree: tuple[str, str]) -> Entry | None:
        return known.get(tree)

    assert await sweep(bus, "JOURNAL-0", find) > 10
    for one in trees:
        after = await in_journal(bus, one)
        if one < gap:
            assert {subject.split(".", 7)[7] for _, subject, _ in after} == {"ended", "closed"}
        else:
            assert after == before[one]


async def test_what_is_archived_is_folded_from_the_archive_and_not_from_what_stayed(bus: Bus) -> None:
    stream = layout.journal_of(ROOT, GROUPS)
    await Play(BusSink(bus)).write(ROOT)
    records = [found async for found in reader.scan(bus, stream, subjects.records_of_tree("default", ROOT))]
    last = records[-1].seq
    assert folded(bus, records, {}).calls
    rows = folded(bus, records, {("default", ROOT): last})
    assert (rows.runs, rows.calls) == ({}, {})
    rows = folded(bus, records, {("default", ROOT): last - 1, ("other", ROOT): last})
    assert [row["committed"] for row in rows.runs.values()] == [240]
    assert set(rows.calls) < set(folded(bus, records, {}).calls)


async def test_what_is_stored_after_it_was_read_is_not_purged(bus: Bus) -> None:
    play, stream = Play(BusSink(bus)), layout.journal_of(ROOT, GROUPS)
    await play.write(ROOT)
    leaving = Leaving()
    async for found in messages(bus, stream, "default", ROOT):
        leaving.see(found)
    late = [await play.result(call.Completed(call=f"{ROOT}-1-0")) for _ in range(3)]
    for _ in range(3):
        taken = run.Taken(call=f"{ROOT}-1-0", tool="files.read", status="completed", seq=1, late=True)
        late.append(await play.record("run", ROOT, run.Took(results=(taken,))))
    where = Entry(
        tenant="default",
        tree=ROOT,
        stream=stream,
        created="then",
        row=0,
        rows=1,
        last_seq=leaving.last_seq,
        purges=leaving.purges(),
    )
    assert await is_whole(bus, stream, "default", ROOT)
    assert await take_out(bus, where) > 10
    assert set(late) < {seq for seq, _, _ in await in_journal(bus, ROOT)}
    assert not await is_whole(bus, stream, "default", ROOT)
    assert await take_out(bus, where) == 0


def test_a_tree_is_read_page_by_page_wherever_it_lies_in_its_file(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    other, bodies = run_id(2), [bytes([65 + number % 26]) * 50 for number in range(30)]
    for number in range(7):
        writer.add(message(number + 1, b"other", tree=other))
    for number, body in enumerate(bodies):
        writer.add(message(2 * number + 10, body))
        if number % 4 == 0:
            writer.write()
    where = entry(ROOT, 7, len(bodies))
    path = writer.finish([entry(other, 0, 7), where])
    assert trees(path)[1] == where
    found, after, more = [], 0, True
    while more:
        some, more = page(path, where, after, most=100, most_bytes=2_000)
        assert 0 < len(some) < 8
        found += some
        after = some[-1].seq
    assert found == [message(2 * number + 10, body) for number, body in enumerate(bodies)]
    assert page(path, where, found[-1].seq, most=9, most_bytes=9) == ([], False)


def test_a_file_that_is_not_what_was_written_never_gets_its_name(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add(message(1, b"all is well"))
    writer.write()
    writer.rows += 1  # as if a row had been lost on the way
    with pytest.raises(DamagedError):
        writer.finish([entry(ROOT, 0, 1)])
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_one_archiver_until_that_ends(tmp_path: Path) -> None:
    with Lock(tmp_path / "archive" / ".lock") as first, Lock(tmp_path / "archive" / ".lock") as second:
        assert first.take()
        assert first.take()
        assert not second.take()
    with Lock(tmp_path / "archive" / ".lock") as third:
        assert third.take()


def test_the_retention_is_told_in_seconds_or_never() -> None:
    assert from_environment({}).retention_s == 30 * 86_400
    assert from_environment({"CALLBOARD_RETENTION_S": "0.5"}).retention_s == 0.5
    assert from_environment({"CALLBOARD_RETENTION_S": "never"}).retention_s == 0
