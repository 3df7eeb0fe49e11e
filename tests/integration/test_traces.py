"""Traces of real runs: whoever dies or waits in between, each run and call is one span, whole and in its place."""

import signal
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from callboard.cli.trace import spans_of
from callboard.cli.where import Reached
from callboard.client import Client
from callboard.traces import names as n
from callboard.traces.tree import run_span
from callboard_contracts import guard, ids, run
from callboard_contracts.goal import Submit
from tests.integration.processes import ALL, hosting
from tests.integration.stage import WHOLE, Seen, Stage, client_of, journal, recorded
from tests.integration.system import asks, free_port, new_id, running, script
from tests.ledger.collector import attributes, collecting

pytestmark = pytest.mark.anyio

SCRIPT = script(
    [asks(*[("slow", {"index": index}) for index in range(8)]), {"output": "part"}],
    delegates=[
        asks(("agent.run", {"objective": "a part"}), ("calc", {"expression": "1+"})),
        asks(("slow", {"index": 99})),
        {"output": "both"},
    ],
)

TOOL = """
import asyncio
from callboard.tools import serve_tools, tool

@tool(effect="read")
async def slow(index: int) -> int:
    '''Take a moment.'''
    await asyncio.sleep(0.1)
    return index

if __name__ == "__main__":
    print("slow ready", flush=True)
    serve_tools(slow, concurrency=2)
"""

SAID = {"CALLBOARD_TRACE_CONTENT": "true"}


def parents(seen: list[Seen], tree: str) -> dict[str, str]:
    """Return each span's parent, as the records have it."""
    calls = {call.id: one.run for one in seen if isinstance(one.event, run.Called) for call in one.event.calls}
    runs = {one.run for one in seen if isinstance(one.event, run.Accepted)}
    found = {ids.span_id(call): run_span(of) for call, of in calls.items()}
    return found | {run_span(of): "" if of == tree else ids.span_id(of) for of in runs}


async def test_a_run_that_was_paused_while_the_ledger_was_killed_twice_is_one_whole_trace(
    fresh_broker: str, tmp_path: Path
) -> None:
    path, tree = tmp_path / "slow.py", new_id()
    path.write_text(TOOL)
    async with (
        collecting() as collector,
        hosting(fresh_broker, tmp_path, SCRIPT, ALL, environments={"ledger": collector.traces | SAID}) as (
            host,
            system,
        ),
        Client(f"http://{host.http}") as client,
    ):
        ledger, planner = (next(one for one in host.processes if one.name == name) for name in ("ledger", "planner"))
        await host.start("slow", program=(str(path),))
        await system.until_admitted("slow")
        watched = system.watch(tree)
        await system.publish(Submit(id=tree, objective="delegates"))
        await recorded(system, tree, run.Took, run=ids.call_id(tree, 2, 0), number=2)
        await ledger.stop(signal.SIGKILL)
        await client.pause(tree)
        await recorded(system, tree, run.Paused, run=tree)
        ledger = await host.start("ledger", environment=collector.traces | SAID)
        await collector.had([ids.span_id(ids.call_id(tree, 1, 0))])
        await ledger.stop(signal.SIGKILL)
        await planner.stop(signal.SIGKILL)
        await host.start("planner")
        await client.resume(tree)
        await system.ended(tree, 30)
        await system.closed(watched)
        await host.start("ledger", environment=collector.traces | SAID)
        seen = await journal(system, tree)
        wanted = parents(seen, tree)
        await collector.had(wanted)
        found = collector.by_id
    assert {name: span.parent_span_id.hex() for name, span in found.items()} == wanted
    check_spans(found, tree)
    check_times(found, seen, tree)


def check_spans(found: dict[str, Span], tree: str) -> None:
    """Check that it is one trace, which tells of the pause and of the tool that failed."""
    assert {span.trace_id.hex() for span in found.values()} == {ids.trace_id(tree)}
    assert {event.name for event in found[run_span(tree)].events} >= {"callboard.paused", "callboard.resumed"}
    failed = found[ids.span_id(ids.call_id(tree, 2, 1))]
    assert (failed.name, failed.status.message) == ("execute_tool calc", "tool_failed")
    assert attributes(failed)["callboard.effect"] == "pure"
    asked = attributes(found[ids.span_id(ids.call_id(tree, 1, 0))])
    assert '"content":"delegates"' in str(asked[n.INPUT_MESSAGES])
    assert '"name":"agent.run"' in str(asked[n.OUTPUT_MESSAGES])
    assert str(asked[n.INSTRUCTIONS]).startswith('[{"type":"text"')


def check_times(found: dict[str, Span], seen: list[Seen], tree: str) -> None:
    """Check that the root lasted from its first record to its last, and that each call began with its grant."""
    root = found[run_span(tree)]
    began = next(one.time_ms for one in seen if isinstance(one.event, run.Accepted) and one.run == tree)
    ended = next(one.time_ms for one in seen if isinstance(one.event, run.Ended) and one.run == tree)
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (began * 1_000_000, ended * 1_000_000)
    grants = {one.event.call.id: one.time_ms for one in seen if isinstance(one.event, guard.Granted)}
    assert all(found[ids.span_id(call)].start_time_unix_nano == at * 1_000_000 for call, at in grants.items())


async def test_a_run_that_goes_on_shows_what_it_has_begun_and_an_ended_one_all_its_spans(
    fresh_broker: str, tmp_path: Path
) -> None:
    stage, steps = Stage(), script([asks(("gate", {"name": "a"})), {"output": "through"}])
    http = f"127.0.0.1:{free_port()}"
    async with (
        running(fresh_broker, tmp_path, steps, WHOLE, http=http) as system,
        stage.serve(fresh_broker),
        client_of(system) as client,
    ):
        await system.until_admitted("gate")
        tree, reached = new_id(), Reached(client, tmp_path)
        watched = system.watch(tree)
        await system.publish(Submit(id=tree, objective="go"))
        await stage.inside("a")
        ended = {span.name: bool(span.end_ms) for span in await spans_of(reached, tree)}
        model = watched.events(run.Accepted)[0].model
        assert ended == {"invoke_agent": False, f"chat {model}": True, "execute_tool gate": False}
        stage.open("a")
        await system.ended(tree)
        after = await spans_of(reached, tree)
        assert all(span.end_ms for span in after)
        assert [span.name for span in after].count(f"chat {model}") == 2
        assert {span.span_id: span.parent_id for span in after} == parents(await journal(system, tree), tree)
