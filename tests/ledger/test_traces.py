"""Traces from a ledger on a real broker to a real receiver: each span once, nothing lost, and nobody held up."""

from pathlib import Path

import pytest
import structlog

from callboard.bus import Bus
from callboard.testing.records import BusSink, Costs, Play
from callboard.traces import At, Span, Tree, environment, fold
from callboard.traces import names as n
from callboard.traces.tree import run_span
from callboard_contracts import ids, run
from callboard_contracts.call import Completed
from callboard_contracts.goal import Retry, Submit
from callboard_contracts.journal import Record
from callboard_services.ledger.traces import exporting, sender, tracer
from tests.gateway.hook import HANG
from tests.ledger.collector import attributes, collecting
from tests.ledger.conftest import Ledger, run_id
from tests.ledger.test_ledger import made_anew, run_of, write_runs

SECRET = "Find the total."


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and know no collector but the test's own."""
    monkeypatch.setattr(tracer, "_IDLE_S", 0.05)
    for name in ("TRACES_ENDPOINT", "METRICS_ENDPOINT", "ENDPOINT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)


def _answered(call_id: str) -> Completed:
    return Completed(call=call_id)


def to(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def ids_of(*runs: int) -> set[str]:
    """Return the ids of the spans of runs as `write_runs` writes them: two rounds of a model and a tool."""
    names = [run_id(number) for number in runs]
    calls = {ids.span_id(ids.call_id(name, turn, 0)) for name in names for turn in range(1, 5)}
    return calls | {run_span(name) for name in names}


async def test_every_run_and_call_arrives_once(bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await write_runs(bus, 20)
            await collector.had(ids_of(*range(20)))
        assert len(collector.spans) == 100
        assert set(collector.by_id) == ids_of(*range(20))
        assert {span.trace_id.hex() for span in collector.spans} == {ids.trace_id(run_id(at)) for at in range(20)}


async def test_a_restart_and_a_rebuilt_ledger_send_nothing_again(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await write_runs(bus, 3)
            await collector.had(ids_of(0, 1, 2))
        for file in (tmp_path / "data").glob("ledger.db*"):
            file.unlink()
        async with ledger():
            await write_runs(bus, 1, first=3)
            await collector.had(ids_of(3))
            assert (await run_of(bus, run_id(0)))["status"] == "completed"
        assert len(collector.spans) == 20


async def test_what_began_before_traces_did_is_not_sent(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(BusSink(bus))
    await write_runs(bus, 2)
    await play.accept(run_id(9))
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await play.end(run_id(9), "completed", "late", 0, [])
            await write_runs(bus, 1, first=3)
            await collector.had(ids_of(3))
        assert set(collector.by_id) == ids_of(3)


async def test_a_tree_that_goes_on_across_a_restart_has_all_its_spans(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(BusSink(bus))
    name = run_id(1)
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await play.accept(name, skill="totals")
            taken = await play.call(name, 1, "files.read", _answered, Costs())
        async with ledger():
            await play.record("run", name, run.Took(results=(taken,)))
            await collector.had([ids.span_id(taken.call)])
        async with ledger():
            await play.end(name, "completed", "x", 0, [])
            await collector.had([run_span(name)])
        found = collector.by_id
        assert set(found) == {ids.span_id(taken.call), run_span(name)}
        assert found[run_span(name)].name == "invoke_agent totals"
        assert found[ids.span_id(taken.call)].parent_span_id.hex() == run_span(name)


async def test_a_collector_that_is_down_holds_up_nobody_and_loses_nothing(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_FIRST_S", 0.001)
    with structlog.testing.capture_logs() as said:
        async with collecting(503, 401, 429, 403, 500, 503, 404, 200) as collector:
            to(monkeypatch, collector.traces)
            async with ledger():
                await write_runs(bus, 4)
                assert (await run_of(bus, run_id(3)))["status"] == "completed"
                await collector.had(ids_of(*range(4)))
        assert set(collector.by_id) == ids_of(*range(4))
        assert len(collector.hook.received) >= 8
    assert [line["event"] for line in said].count("the collector does not take it; trying again") == 1


async def test_what_a_collector_never_answered_is_sent_again_by_the_next_ledger(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_LAST_WORDS_S", 0.1)
    async with collecting(HANG) as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await write_runs(bus, 2)
            await collector.hook.had(1)
        collector.hook.answers = [200]
        collector.refused = len(collector.hook.received)
        async with ledger():
            await collector.had(ids_of(0, 1))


async def test_of_two_ledgers_on_one_folder_one_sends_and_the_other_takes_over(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_TAKE_OVER_S", 0.05)
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        first = ledger()
        await first.__aenter__()
        async with ledger():
            await write_runs(bus, 3)
            await collector.had(ids_of(0, 1, 2))
            await first.__aexit__(None, None, None)
            await write_runs(bus, 1, first=3)
            await collector.had(ids_of(3))
        assert len(collector.spans) == 20


async def test_without_an_endpoint_nothing_is_looked_at(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a span was built")

    monkeypatch.setattr(tracer, "fold", never)
    monkeypatch.setattr(exporting, "Kept", never)
    async with ledger():
        await write_runs(bus, 2)
        assert (await run_of(bus, run_id(1)))["status"] == "completed"
    assert not (tmp_path / "data" / exporting.FOLDER).exists()


@pytest.mark.parametrize(
    ("protocol", "installed", "named"),
    [("grpc", True, "OTEL_EXPORTER_OTLP_PROTOCOL"), ("http/protobuf", False, "callboard[otlp]")],
)
async def test_what_cannot_be_used_is_named_and_stops_no_ledger(
    bus: Bus,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    installed: bool,
    named: str,
) -> None:
    monkeypatch.setattr(environment, "installed", lambda: installed)
    to(monkeypatch, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
    with structlog.testing.capture_logs() as said:
        async with ledger():
            await write_runs(bus, 1)
            assert (await run_of(bus, run_id(0)))["status"] == "completed"
    assert [line["event"] for line in said if named in str(line)] == ["no traces are sent"]


async def test_what_was_said_is_sent_only_where_it_is_wanted(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await Play(BusSink(bus)).write(run_id(0))
            await collector.had(ids_of(0))
        assert all(SECRET.encode() not in one.body for one in collector.hook.received)
        assert all(b"invoice-7" not in one.body for one in collector.hook.received)
        async with ledger(content=True):
            await Play(BusSink(bus)).write(run_id(1))
            await collector.had(ids_of(1))
        found = {name: attributes(span) for name, span in collector.by_id.items()}
    goal, tool = found[run_span(run_id(1))], found[ids.span_id(ids.call_id(run_id(1), 2, 0))]
    assert SECRET in str(goal[n.INPUT_MESSAGES])
    assert "128.50 EUR" in str(goal[n.OUTPUT_MESSAGES])
    assert tool[n.TOOL_ARGUMENTS] == '{"path":"invoice-7.txt"}'
    assert tool[n.TOOL_RESULT] == '{"text":"Total: 128.50 EUR"}'
    chat = found[ids.span_id(ids.call_id(run_id(1), 1, 0))]
    assert "I need the file." in str(chat[n.OUTPUT_MESSAGES])


async def test_metrics_add_up_across_restarts(bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as collector:
        to(monkeypatch, collector.metrics)
        for first in (0, 2):
            async with ledger():
                await write_runs(bus, 2, first=first)
                await run_of(bus, run_id(first + 1))
        found = collector.newest_metrics
    assert [point.as_int for point in found["callboard.runs"].sum.data_points] == [4]
    assert sum(point.as_int for point in found["callboard.cost"].sum.data_points) == 2 * (100 + 101 + 102 + 103)
    assert found["callboard.trees.open"].gauge.data_points[0].as_int == 0
    assert sum(point.count for point in found[n.OPERATION_DURATION].histogram.data_points) == 8


async def test_a_run_that_takes_up_another_links_to_the_trace_that_one_came_with(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = run_id(1), run_id(2)
    play = Play(BusSink(bus))
    accepted = run.Accepted(
        goal=Submit(id=old), goal_digest="", contract={}, model="x", deadline_ms=1,
        traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01",
    )  # fmt: skip
    await play.record("run", old, accepted)
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await play.write(new, rounds=1, submit=Submit(id=new, objective="again", retry=Retry(of=old)))
            await collector.had([run_span(new)])
        (link,) = collector.by_id[run_span(new)].links
    assert (link.trace_id.hex(), link.span_id.hex()) == ("ab" * 16, run_span(old))


async def test_a_journal_that_was_made_anew_is_followed(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await write_runs(bus, 2)
            await collector.had(ids_of(0, 1))
        await made_anew(bus)
        async with ledger():
            await write_runs(bus, 1, first=2)
            await collector.had(ids_of(2))
        assert set(collector.by_id) == ids_of(0, 1, 2)


async def test_a_record_that_breaks_the_fold_holds_up_no_other_run(
    bus: Bus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(tree: Tree, at: At, record: Record) -> list[Span]:
        if tree.tree == run_id(0):
            raise KeyError("a bug")
        return fold(tree, at, record)

    monkeypatch.setattr(tracer, "fold", breaks)
    async with collecting() as collector:
        to(monkeypatch, collector.traces)
        async with ledger():
            await write_runs(bus, 3)
            await collector.had(ids_of(1, 2))
        assert set(collector.by_id) == ids_of(1, 2)
