"""A run read back from the journal: as far as the window can use, its own records only, the same cost at every turn."""

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from callboard.bus import Bus, objects
from callboard_contracts import call, goal, ids, model, run, wire
from callboard_services.models import evidence, history, prompt, told
from callboard_services.models.history import Part
from callboard_services.models.kept import Kept, Link
from callboard_services.models.log import HEAD_BYTES
from callboard_services.models.transcript import MOST_RETRIES, RETRIED, Transcripts
from tests.conftest import empty_broker
from tests.unit.models import kit
from tests.unit.models.written import GROUPS, LOOK, Gets, Written, provisioned, shown

pytestmark = pytest.mark.anyio

EVERYTHING = 1_000_000_000
ENOUGH = 64 * 1024


def new() -> str:
    return ids.ulid(time.time_ns() // 1_000_000, secrets.token_bytes(10))


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this module's own: how many journals there are matters here."""
    with empty_broker(tmp_path_factory.mktemp("journals")) as url:
        yield url


@pytest.fixture
async def bus(journals: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(journals, name="models") as bus:
        await provisioned(bus)
        yield bus


async def _begun(bus: Bus, tenant: str, **more: Any) -> Written:
    return await Written(bus, tenant, new()).begin(**more)


def _read(bus: Bus, one: Written, most: int = EVERYTHING, source: int = 0, summary: int = 0) -> Any:
    return Transcripts(bus, GROUPS).read(one.address, source or one.asked[-1], most, summary)


async def _outputs(bus: Bus, one: Written) -> list[Any]:
    async with aclosing(evidence.outputs(bus, GROUPS, one.address, one.asked[-1])) as found:
        return [output async for output in found]


async def test_a_turn_costs_the_same_however_long_the_run_is(bus: Bus, journals: str, tenant: str) -> None:
    one, warm = await _begun(bus, tenant), Transcripts(bus, GROUPS)
    async with await Bus.connect(journals, name="test") as other:
        gets = await Gets(other).start()
        cold, next_one, sizes = [], [], []
        for rounds in (40, 60, 400, 500):  # two turns each
            await one.rounds(rounds, 1000)
            await warm.read(one.address, one.asked[-2], ENOUGH)
            await gets.since()
            entries = await warm.read(one.address, one.asked[-1], ENOUGH)
            next_one.append(await gets.since())
            assert await _read(bus, one, ENOUGH) == entries
            cold.append(await gets.since())
            sizes.append(len(entries))
            assert history.accepted(entries).goal.id == one.address.run
            assert history.answered(entries) == len(one.asked) - 1
    assert max(next_one) <= 4  # two records and the two results that they took
    assert max(cold[1:]) <= 1.2 * cold[1] < 300
    assert max(sizes[1:]) <= 1.2 * sizes[1]


async def test_a_short_run_is_read_whole(bus: Bus, tenant: str) -> None:
    one = await _begun(bus, tenant)
    await one.rounds(30)
    entries = await _read(bus, one)
    assert shown(entries) == [str(at) for at in range(30)]
    assert (entries[0].left_out, history.answered(entries)) == (0, 30)


@pytest.mark.parametrize("notes", [0, 1])
@pytest.mark.parametrize("rounds", [1, 3, 7, 8, 9, 24])
async def test_what_is_left_out_is_counted_wherever_the_window_ends(
    bus: Bus, tenant: str, rounds: int, notes: int
) -> None:
    one = await _begun(bus, tenant)
    for _ in range(notes):  # one more record, so that snapshots are taken while the model is being asked
        await one.note(run.Noted(text="x"))
    await one.rounds(rounds)
    for source in one.asked:
        for most in (1, 300, 900, 3000):
            entries = await _read(bus, one, most, source)
            assert history.answered(entries) == one.asked.index(source)
            assert history.accepted(entries).goal.id == one.address.run


async def test_a_record_of_another_run_or_tenant_is_never_read(bus: Bus, tenant: str) -> None:
    one, other = [await Written(bus, tenant, _of_one_journal()).begin() for _ in range(2)]
    foreign = await Written(bus, f"{tenant}x", one.address.run).begin()
    assert (await _read(bus, one))[0].left_out == 0
    for seq in (*other.asked, *foreign.asked, 1_000_000):
        with pytest.raises(LookupError):
            await _read(bus, one, source=seq)


async def test_a_result_of_another_run_tenant_or_lane_is_never_read(bus: Bus, tenant: str) -> None:
    run_id = _of_one_journal()
    foreign = await Written(bus, f"{tenant}x", run_id).begin()
    await foreign.rounds(1)
    own = await Written(bus, tenant, run_id).begin()
    theirs = shown(await _read(bus, foreign))
    assert theirs == ["0"]
    for seq in range(foreign.asked[0], own.asked[-1] + 1):
        one = await _forged(bus, tenant, seq)
        with pytest.raises(LookupError):
            await _read(bus, one)
        with pytest.raises(LookupError):
            await _outputs(bus, one)


@pytest.mark.parametrize("kind", ["control", "signal"])
async def test_what_is_said_to_a_run_is_no_result(bus: Bus, tenant: str, kind: str) -> None:
    one = await _begun(bus, tenant)
    await one.answer(LOOK)
    said = call.Completed(call=f"{one.address.run}-2-0", output="x")
    stored = await bus.publish(str(one.address.at("in", kind)), wire.encode(said))
    await one.result(seq=stored.seq)
    with pytest.raises(LookupError):
        await _read(bus, one)


async def _forged(bus: Bus, tenant: str, seq: int) -> Written:
    """A run whose record takes a message of the same journal that is not its own."""
    one = await Written(bus, tenant, _of_one_journal()).begin()
    await one.answer(LOOK)
    await one.result("x", seq=seq)
    return one


def _of_one_journal() -> str:
    return next(found for found in iter(new, "") if ids.partition(found) % GROUPS == 0)


async def test_a_timer_that_gave_a_call_up_is_no_result(bus: Bus, tenant: str) -> None:
    one = await _begun(bus, tenant)
    await one.answer(LOOK)
    timer = await bus.publish(str(one.address.at("in", "timer")), b"")
    lost = run.Taken(
        call=f"{one.address.run}-2-0", tool="files.read", status="lost", seq=timer.seq, code="call_timeout"
    )
    await one.note(run.Took(results=(lost,)), one.question())
    entries = await _read(bus, one)
    assert [outcome.result for outcome in history.outcomes(entries)][1:] == [None]


async def _retried(bus: Bus, tenant: str, old: Written, turn: int) -> Written:
    return await _begun(bus, tenant, retry=old.turns[turn])


async def test_a_run_that_takes_up_another_begins_with_its_records_up_to_the_last_good_turn(
    bus: Bus, tenant: str
) -> None:
    old = await _begun(bus, tenant)
    await old.rounds(5)
    again = await _retried(bus, tenant, old, turn=4)
    await again.rounds(1, 3)
    entries = await _read(bus, again)
    assert shown(entries) == ["0", "1", "0xxx"]
    assert history.answered(entries) == 3
    assert history.accepted(entries).goal.id == again.address.run
    assert sum(isinstance(one, run.Accepted) for entry in entries for one in entry.events) == 1
    assert await _outputs(bus, again) == ["0xxx", "0", "1"]


async def test_what_came_after_the_last_good_turn_is_not_read_back(bus: Bus, tenant: str) -> None:
    old = await _begun(bus, tenant)
    await old.answer(LOOK, run.Noted(text="mind the gap"))
    again = await _retried(bus, tenant, old, turn=1)
    messages = prompt.build(kit.accepted(), None, await _read(bus, again), (kit.spec(),), 100_000)
    assert [one.role for one in messages[2:]] == ["assistant", "tool", "user", "user"]
    assert [one.id for one in messages[2].asks] == ["uncalled-0"]
    assert "no_result" in messages[3].content
    assert [one.content for one in messages[-2:]] == ["mind the gap", RETRIED.text]


async def test_of_a_record_with_several_turns_only_the_good_ones_count(bus: Bus, tenant: str) -> None:
    old = await _begun(bus, tenant)
    await old.at_once(LOOK, "not this")
    again = await _retried(bus, tenant, old, turn=1)
    entries = await _read(bus, again)
    assert (history.answered(entries), shown(entries), await _outputs(bus, again)) == (1, [], [])


@pytest.mark.parametrize("notes", [0, 1, 2])
@pytest.mark.parametrize("later", [0, 1, 7, 20])
async def test_where_a_summary_stands_nothing_that_it_covers_is_read(
    bus: Bus, tenant: str, later: int, notes: int
) -> None:
    one = await _begun(bus, tenant)
    for _ in range(notes):  # so that snapshots are taken at each point of a turn
        await one.note(run.Noted(text="x"))
    await one.rounds(6)
    summary = await one.sum_up(through=one.asked[4], answers=4)
    await one.rounds(later)
    for most in (EVERYTHING, 700, 1):
        entries = await _read(bus, one, most, summary=summary)
        assert history.answered(entries) == len(one.asked) - 1
        assert entries[0].standing is not None
        assert (entries[0].standing.seq, entries[0].standing.summary.text) == (summary, "notes")
    assert shown(await _read(bus, one, summary=summary)) == ["4", "5", "z", *map(str, range(later))]
    assert history.answered(await _read(bus, one)) == len(one.asked) - 1


async def test_a_run_with_a_summary_is_read_at_the_same_cost_however_long_it_is(
    bus: Bus, journals: str, tenant: str
) -> None:
    one = await _begun(bus, tenant)
    async with await Bus.connect(journals, name="test") as other:
        gets, cold = await Gets(other).start(), []
        for rounds in (20, 200):
            await one.rounds(rounds, 500)
            summary = await one.sum_up(through=one.asked[-4], answers=len(one.asked) - 4)
            await gets.since()
            await _read(bus, one, summary=summary)
            cold.append(await gets.since())
    assert cold[1] <= cold[0] + 16


async def test_a_run_that_takes_up_one_that_was_summed_up_begins_with_the_summary(bus: Bus, tenant: str) -> None:
    old = await _begun(bus, tenant)
    await old.rounds(8)
    summary = await old.sum_up(through=old.asked[6], answers=6)
    await old.rounds(1, 2)
    last = max(old.turns)
    retry = msgspec.structs.replace(old.turns[last], summary=summary)
    again = await _begun(bus, tenant, retry=retry)
    await again.rounds(1, 3)
    entries = await _read(bus, again)
    assert shown(entries) == ["6", "7", "z", "0xx", "0xxx"]
    assert history.answered(entries) == len(old.asked)
    assert entries[0].standing is not None


async def test_a_summary_may_end_within_the_run_that_is_taken_up(bus: Bus, tenant: str) -> None:
    old = await _begun(bus, tenant)
    await old.rounds(8)
    again = await _begun(bus, tenant, retry=old.turns[max(old.turns)])
    summary = await again.sum_up(through=old.asked[6], answers=6, of=old.address.run)
    entries = await _read(bus, again, summary=summary)
    assert shown(entries) == ["6", "7", "z"]
    assert [entry.run for entry in entries if shown((entry,)) == ["7"]] == [old.address.run]
    assert history.answered(entries) == 8 + 1


async def test_what_is_no_summary_of_this_run_is_never_read_as_one(bus: Bus, tenant: str) -> None:
    one, other = [await Written(bus, tenant, _of_one_journal()).begin() for _ in range(2)]
    theirs = await other.sum_up(through=1, answers=1)
    await one.answer(LOOK)
    await one.result("x")
    for seq in (theirs, one.asked[-1], one.asked[-1] - 1, 1_000_000):
        with pytest.raises(LookupError):
            await _read(bus, one, summary=seq)


async def test_a_chain_of_runs_is_followed_and_bounded(bus: Bus, tenant: str) -> None:
    one = await _begun(bus, tenant)
    for at in range(MOST_RETRIES + 3):
        await one.rounds(1, at)
        one = await _retried(bus, tenant, one, turn=2)
    found = shown(await _read(bus, one))
    assert found == ["0" + "x" * at for at in range(3, MOST_RETRIES + 3)]
    assert len(await _outputs(bus, one)) == MOST_RETRIES


@pytest.mark.parametrize("turn", [0, 2])
async def test_a_run_that_was_never_good_begins_anew(bus: Bus, tenant: str, turn: int) -> None:
    again = await _begun(bus, tenant, retry=goal.Retry(of=new()) if not turn else None)
    assert len(await _read(bus, again)) == 2


async def test_a_retry_cannot_point_at_what_is_not_that_run(bus: Bus, tenant: str) -> None:
    old = await Written(bus, tenant, _of_one_journal()).begin()
    await old.rounds(2)
    foreign = await Written(bus, f"{tenant}x", old.address.run).begin()
    await foreign.rounds(2)
    for retry in (
        goal.Retry(of=old.address.run, turn=2, seq=foreign.turns[2].seq),
        goal.Retry(of=_of_one_journal(), turn=2, seq=old.turns[2].seq),
        goal.Retry(of=old.address.run, turn=2, seq=0),
        goal.Retry(of="*", turn=2, seq=old.turns[2].seq),
        goal.Retry(of=f"{old.address.run}-1-0", turn=2, seq=old.turns[2].seq),
    ):
        again = await _begun(bus, tenant, retry=retry)
        with pytest.raises(LookupError):
            await _read(bus, again)


async def test_a_long_run_that_was_taken_up_costs_no_more(bus: Bus, tenant: str) -> None:
    old = await _begun(bus, tenant)
    await old.rounds(300, 1000)
    again = await _retried(bus, tenant, old, turn=600)
    entries = await _read(bus, again, ENOUGH)
    assert history.answered(entries) == 300
    assert entries[0].left_out > 200
    assert shown(entries)[-1].startswith("299x")


async def test_of_an_output_in_the_blob_store_only_what_a_model_reads_is_fetched(
    bus: Bus, journals: str, tenant: str
) -> None:
    large = {"rows": ["\u20ac" * 1000 for _ in range(2000)]}
    one = await _begun(bus, tenant)
    for output in ({"small": "x" * 40_000}, large):
        await one.answer(LOOK)
        await one.result(ref=await objects.put_blob(bus, msgspec.json.encode(output)))
    async with await Bus.connect(journals, name="test") as other:
        gets = await Gets(other).start()
        entries = await _read(bus, one)
        assert await gets.since() < 20  # the large one alone has 46 chunks
    whole, part = shown(entries)
    assert whole == {"small": "x" * 40_000}
    assert isinstance(part, Part)
    assert (len(part.text.encode()) <= HEAD_BYTES, part.bytes) == (True, len(msgspec.json.encode(large)))
    content = prompt.build(kit.accepted(), None, entries, (kit.spec(),), 100_000)[-1].content
    assert len(content) < prompt.RESULT_CHARS + 200
    assert f"it has {part.bytes} bytes" in content
    assert (await _outputs(bus, one))[-1] == large


async def test_an_output_that_is_gone_is_told_and_stops_nobody(bus: Bus, tenant: str) -> None:
    one = await _begun(bus, tenant)
    await one.answer(LOOK)
    await one.result(ref="0" * 64)
    content = prompt.build(kit.accepted(), None, await _read(bus, one), (kit.spec(),), 100_000)[-1].content
    assert "was not read back" in content


def test_what_is_kept_is_bounded_by_bytes_and_the_oldest_run_goes_first() -> None:
    kept = Kept(most_bytes=10_000)
    for at in range(10):
        page = kept.page(f"run {at}")
        page |= {seq: Link(seq=seq, prev=0, events=(), bytes=1000) for seq in (1, 2, 3)}
        kept.settle(f"run {at}", page, (2, 3))
        assert kept.bytes <= 10_000
    assert [list(kept.page(f"run {at}")) for at in (6, 7, 8, 9)] == [[], [2, 3], [2, 3], [2, 3]]
    kept.settle("huge", {1: Link(seq=1, prev=0, events=(), bytes=20_000)}, (1,))
    assert kept.bytes == 0


def test_many_small_runs_are_not_kept_for_ever() -> None:
    kept = Kept()
    for at in range(5_000):
        kept.settle(f"run {at}", {1: Link(seq=1, prev=0, events=(), bytes=1)}, (1,))
    assert sum(bool(kept.page(f"run {at}")) for at in range(5_000)) == 2048
    assert kept.page("run 4999")


async def test_a_steer_that_was_recorded_is_read_back(bus: Bus, tenant: str) -> None:
    one = await _begun(bus, tenant)
    await one.note(run.Steered(id="s", text="in French"))
    await one.answer(model.Answer(finished=True, output={"city": "Turin"}), one.question())
    last = prompt.build(kit.accepted(), None, await _read(bus, one), (), 100_000)[-1]
    assert last.content == told.PERSON + "in French"
