"""What an executor promises for every call that it pulls."""

import asyncio
import json
import threading
import time
from typing import Annotated, Any

import anyio.from_thread
import msgspec
import pytest
from msgspec import Meta

from callboard.bus import Bus, Delivery, objects
from callboard.tools import ToolContext, ToolError, tool
from callboard_contracts import dead, ids, live, names, subjects, wire
from callboard_contracts.call import Completed, Failed, Lost, Usage
from tests.tools.conftest import GROUPS, Serve
from tests.tools.parts import TENANT, World, deliveries, durables, eventually, pending, until


@tool(name="text.shout", effect="pure")
def shout(text: Annotated[str, Meta(min_length=1)], times: int = 1) -> str:
    """Return a text in capitals."""
    return text.upper() * times


async def test_a_granted_call_is_run_and_its_result_reaches_the_run(world: World, serve: Serve) -> None:
    await serve(shout)
    id_ = await world.grant("text.shout", {"text": "hey"})
    assert await world.result(id_) == msgspec.structs.replace(
        Completed(call=id_, output="HEY"),
        usage=world.results[id_][0].usage,  # type: ignore[union-attr]
    )


async def test_calls_of_wider_turns_are_run_as_well(world: World, serve: Serve) -> None:
    await serve(shout)
    calls = [await world.grant("text.shout", {"text": str(n)}, alone=False) for n in range(5)]
    assert [(await world.result(call)).call for call in calls] == calls


async def test_what_was_answered_is_acknowledged_and_never_comes_again(world: World, serve: Serve) -> None:
    await serve(shout)
    await world.result(await world.grant("text.shout", {"text": "hey"}))

    async def nothing_left() -> bool:
        return await pending(world.bus, GROUPS, "text.shout") == 0

    await eventually(nothing_left)


async def test_bad_arguments_never_reach_the_handler(world: World, serve: Serve) -> None:
    reached: list[int] = []

    @tool(name="strict", effect="write")
    def strict(count: Annotated[int, Meta(ge=1)]) -> int:
        """Note that it was called."""
        reached.append(count)
        return count

    await serve(strict)
    for bad in ({"count": 0}, {"count": "1"}, {}, {"count": 1, "more": 2}, [1], "x"):
        result = await world.result(await world.grant("strict", bad))
        assert isinstance(result, Failed)
        assert result.code == "arguments_invalid"
        assert result.usage == Usage()
    assert reached == []
    good = await world.result(await world.grant("strict", {"count": 1}))
    assert isinstance(good, Completed)
    assert reached == [1]


async def test_a_tool_error_reaches_the_model_in_its_own_words(world: World, serve: Serve) -> None:
    @tool(name="weather")
    async def weather(city: str) -> str:
        """Tell the weather."""
        raise ToolError(f"no station in {city}", retryable=True)

    await serve(weather)
    result = await world.result(await world.grant("weather", {"city": "Ulm"}))
    assert isinstance(result, Failed)
    assert (result.code, result.message, result.retryable) == ("tool_failed", "no station in Ulm", True)


async def test_a_bug_in_a_tool_is_a_failed_call_without_a_stack_trace(world: World, serve: Serve) -> None:
    @tool(name="buggy")
    async def buggy() -> str:
        """Fail."""
        empty: dict[str, str] = {}
        return empty["key"]

    @tool(name="leaving")
    def leaving() -> str:
        """Leave."""
        raise SystemExit(3)

    await serve(buggy, leaving)
    result = await world.result(await world.grant("buggy"))
    assert isinstance(result, Failed)
    assert (result.code, result.message) == ("tool_failed", "KeyError: 'key'")
    left = await world.result(await world.grant("leaving"))
    assert isinstance(left, Failed)
    assert left.message == "SystemExit: 3"


async def test_a_tool_that_hangs_is_given_up_in_time(world: World, serve: Serve) -> None:
    @tool(name="hang.read", effect="read")
    async def hang() -> None:
        """Hang."""
        await asyncio.sleep(60)

    @tool(name="hang.write", effect="write")
    async def hang_on() -> None:
        """Hang, having perhaps changed something."""
        await asyncio.sleep(60)

    await serve(hang, hang_on)
    read, wrote = [await world.grant(name, timeout_s=0.3) for name in ("hang.read", "hang.write")]
    timed_out = await world.result(read)
    assert isinstance(timed_out, Failed)
    assert (timed_out.code, timed_out.retryable) == ("call_timeout", True)
    assert isinstance(await world.result(wrote), Lost)


async def test_threads_that_hang_take_no_other_call_its_place(world: World, serve: Serve) -> None:
    let_go = threading.Event()

    @tool(name="stuck", effect="pure")
    def stuck() -> None:
        """Hang in a thread."""
        let_go.wait(30)

    await serve(stuck, shout, concurrency=2)
    try:
        hung = [await world.grant("stuck", timeout_s=0.3) for _ in range(4)]
        assert [type(await world.result(call)) for call in hung] == [Failed] * 4
        assert isinstance(await world.result(await world.grant("text.shout", {"text": "a"})), Completed)
    finally:
        let_go.set()


async def test_a_grant_that_is_no_longer_valid_is_not_run(world: World, serve: Serve) -> None:
    await serve(shout)
    result = await world.result(await world.grant("text.shout", {"text": "a"}, expires_ms=1))
    assert isinstance(result, Failed)
    assert (result.code, result.retryable) == ("call_expired", True)


async def test_a_call_is_given_up_when_its_run_ends_first(world: World, serve: Serve) -> None:
    @tool(name="long.read", effect="read")
    async def long_read() -> None:
        """Take long."""
        await asyncio.sleep(60)

    @tool(name="long.write", effect="write")
    async def long_write() -> None:
        """Take long, having perhaps changed something."""
        await asyncio.sleep(60)

    await serve(long_read, long_write)
    read, wrote = [await world.grant(name) for name in ("long.read", "long.write")]
    await asyncio.sleep(1.2)  # only then does a call listen
    await world.end_run()
    result = await world.result(read, within_s=2)
    assert isinstance(result, Failed)
    assert (result.code, result.retryable) == ("cancelled", False)
    assert isinstance(await world.result(wrote, within_s=2), Lost)


async def test_grants_expire_by_the_broker_s_time_and_not_by_this_machine_s(
    world: World, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is an hour ahead, or an hour behind, changes nothing."""
    real = time.time
    valid, over = int((real() + 30) * 1000), int((real() - 30) * 1000)
    await serve(shout)
    await world.result(await world.grant("text.shout", {"text": "a"}))
    for off_s in (3600, -3600):
        monkeypatch.setattr(time, "time", lambda off_s=off_s: real() + off_s)
        good = await world.result(await world.grant("text.shout", {"text": "a"}, expires_ms=valid))
        late = await world.result(await world.grant("text.shout", {"text": "a"}, expires_ms=over))
        assert isinstance(good, Completed)
        assert isinstance(late, Failed)
        assert late.code == "call_expired"


async def test_an_output_off_its_schema_is_told_and_not_passed_on(world: World, serve: Serve) -> None:
    @tool(name="liar")
    def liar() -> int:
        """Promise a number."""
        return "four"  # type: ignore[return-value]

    @tool(name="strange")
    def strange() -> Any:
        """Return what JSON does not have."""
        return object()

    await serve(liar, strange)
    for name in ("liar", "strange"):
        result = await world.result(await world.grant(name))
        assert isinstance(result, Failed)
        assert result.code == "output_invalid"


async def test_a_large_output_and_large_arguments_travel_by_reference(world: World, serve: Serve) -> None:
    await serve(shout)
    text = "a" * 1_500_000
    reference = await objects.put_blob(world.bus, wire.encode({"text": text}))
    result = await world.result(await world.grant("text.shout", arguments_ref=reference))
    assert isinstance(result, Completed)
    assert result.output is None
    assert msgspec.json.decode(await objects.get_blob(world.bus, result.output_ref)) == text.upper()


async def test_arguments_that_are_not_there_are_a_failed_call(world: World, serve: Serve) -> None:
    await serve(shout)
    result = await world.result(await world.grant("text.shout", arguments_ref="0" * 64))
    assert isinstance(result, Failed)
    assert result.code == "arguments_invalid"


async def test_a_long_call_is_not_delivered_again(world: World, serve: Serve) -> None:
    runs: list[int] = []

    @tool(name="slow", effect="write", concurrency=1)
    async def slow(context: ToolContext) -> int:
        """Take longer than the broker waits."""
        runs.append(context.attempt)
        await asyncio.sleep(1.6)
        return context.attempt

    await serve(slow, ack_wait_s=1.0)
    first, second = [await world.grant("slow") for _ in range(2)]
    assert isinstance(await world.result(first), Completed)
    assert isinstance(await world.result(second), Completed)
    assert runs == [1, 1]
    assert await deliveries(world.bus, "slow") == 2


async def test_a_message_that_is_no_call_goes_to_the_dead_letters_and_the_next_one_is_run(
    world: World, serve: Serve
) -> None:
    await serve(shout)
    await world.publish("x", "text-shout", b"\xff not JSON")
    await world.publish("y", "text-shout", b'{"type":"journal.record.v1","causes":[],"events":[]}')
    assert isinstance(await world.result(await world.grant("text.shout", {"text": "a"})), Completed)
    letters = [wire.decode(message.body, dead.Letter) for message in await world.dead()]
    assert [(letter.code, letter.service, letter.base64) for letter in letters] == [
        ("undecodable", "tools", True),
        ("undecodable", "tools", False),
    ]
    assert await pending(world.bus, GROUPS, "text.shout") == 0


async def test_a_call_that_was_never_answered_is_given_up_after_eight_deliveries(world: World, bus: Bus) -> None:
    from callboard.bus import Puller, Room, nak
    from callboard.tools import serving

    await durables(bus, GROUPS, "text.shout")
    seen: list[int] = []

    def refuse(message: Delivery) -> None:
        seen.append(message.delivered)
        nak(bus, message)
        for puller in pullers:
            puller.done()

    pullers = [
        Puller(bus, f"JOURNAL-{group}", names.durable("text.shout"), refuse, room=Room(1)) for group in range(GROUPS)
    ]
    for puller in pullers:
        await puller.start()
    id_ = await world.grant("text.shout", {"text": "a"})

    async def enough() -> bool:
        return len(seen) >= 8

    await eventually(enough)
    for puller in pullers:
        await puller.stop()
    async with serving(bus, GROUPS, [shout]):
        result = await world.result(id_)
    assert isinstance(result, Failed)
    assert result.code == "poison"
    assert wire.decode((await world.dead())[0].body, dead.Letter).code == "poison"


async def test_progress_text_cost_and_files_of_a_call(world: World, serve: Serve) -> None:
    heard: list[Any] = []

    @tool(name="busy", effect="write", price_usd=0.01)
    async def busy(context: ToolContext) -> list[str]:
        """Do all that a tool may do."""
        await context.progress("half way", 0.5)
        context.emit("some text")
        await context.files.write("out/a.txt", context.idempotency_key.encode())
        context.cost(1200)
        context.cost(300)
        return [file.path for file in await context.files.list()]

    @tool(name="thread", effect="pure", price_usd=0.01)
    def in_thread(context: ToolContext) -> None:
        """Do it from a thread."""
        anyio.from_thread.run(context.progress, "from a thread")
        context.emit("as well")

    def hear(message: Delivery) -> None:
        heard.append(wire.decode(message.body, live.Progress | live.Chunk))

    await world.bus.subscribe(f"{subjects.live_tree(TENANT, world.tree)[:-1]}*.stream.>", hear)
    await serve(busy, in_thread)
    id_ = await world.grant("busy")
    result = await world.result(id_)
    assert isinstance(result, Completed)
    assert result.output == ["out/a.txt"]
    assert result.usage.cost_micro_usd == 1500
    assert await objects.get_file(world.bus, world.tree, "out/a.txt") == id_.encode()
    other = await world.grant("thread")
    unsaid = await world.result(other)
    assert isinstance(unsaid, Completed)
    assert (unsaid.usage.cost_micro_usd, unsaid.usage.estimated) == (10_000, True)
    assert heard == [
        live.Progress(call=id_, message="half way", done=0.5),
        live.Chunk(call=id_, text="some text"),
        live.Progress(call=other, message="from a thread"),
        live.Chunk(call=other, text="as well"),
    ]


async def test_spans_that_a_tool_makes_happen_within_the_span_of_its_call(world: World, serve: Serve) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("its own")

    @tool(name="traced", effect="pure")
    async def traced(context: ToolContext) -> str:
        """Make a span, and one from a thread."""
        with tracer.start_as_current_span("inner"):
            await asyncio.to_thread(lambda: tracer.start_span("thread").end())
        return context.traceparent

    await serve(traced)
    came = await world.grant("traced", traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
    alone = await world.grant("traced")
    traces = {came: "ab" * 16, alone: ids.trace_id(ids.tree_of(alone))}
    for call, trace in traces.items():
        result = await world.result(call)
        assert isinstance(result, Completed)
        assert result.output == f"00-{trace}-{ids.span_id(call)}-01"
    found = [json.loads(span.to_json()) for span in kept.get_finished_spans()]
    inner = {one["parent_id"]: one["context"]["trace_id"] for one in found if one["name"] == "inner"}
    assert inner == {f"0x{ids.span_id(call)}": f"0x{trace}" for call, trace in traces.items()}
    threads = {one["parent_id"] for one in found if one["name"] == "thread"}
    assert threads == {one["context"]["span_id"] for one in found if one["name"] == "inner"}


async def test_draining_finishes_what_runs_and_gives_back_the_rest_at_once(world: World, bus: Bus) -> None:
    from callboard.tools import Executor

    started = asyncio.Event()

    @tool(name="queue", effect="write", concurrency=1)
    async def queue(context: ToolContext) -> int:
        """Take a moment."""
        started.set()
        await asyncio.sleep(0.3)
        return context.attempt

    await durables(bus, GROUPS, "queue")
    await world.answer_whether_open()
    first, second = Executor(bus, GROUPS, [queue]), Executor(bus, GROUPS, [queue])
    await first.start()
    calls = [await world.grant("queue") for _ in range(3)]
    await started.wait()
    await first.stop()
    assert len(world.results) == 1
    began = time.monotonic()
    await second.start()
    results = [await world.result(call) for call in calls]
    assert time.monotonic() - began < 5  # far below the 30 s after which the broker would deliver again by itself
    assert all(isinstance(result, Completed) for result in results)
    assert all(len(world.results[call]) == 1 for call in calls)
    await second.stop()


async def test_what_does_not_finish_in_the_grace_is_lost_when_it_may_have_had_its_effect(
    world: World, bus: Bus
) -> None:
    from callboard.tools import Executor

    started = asyncio.Event()

    @tool(name="endless", effect="irreversible")
    async def endless() -> None:
        """Go on for ever."""
        started.set()
        await asyncio.sleep(600)

    await durables(bus, GROUPS, "endless")
    await world.answer_whether_open()
    first, second = Executor(bus, GROUPS, [endless], grace_s=0.1), Executor(bus, GROUPS, [endless], grace_s=0.1)
    await first.start()
    id_ = await world.grant("endless", timeout_s=600)
    await started.wait()
    await first.stop()
    await second.start()
    assert isinstance(await world.result(id_), Lost)
    await second.stop()


async def test_what_only_reads_and_does_not_finish_in_the_grace_is_run_by_another(world: World, bus: Bus) -> None:
    from callboard.tools import Executor

    runs: list[int] = []

    @tool(name="looks", effect="read")
    async def looks(context: ToolContext) -> int:
        """Take for ever the first time."""
        runs.append(context.attempt)
        await asyncio.sleep(600 if context.attempt == 1 else 0)
        return context.attempt

    await durables(bus, GROUPS, "looks")
    first, second = Executor(bus, GROUPS, [looks], grace_s=0.1), Executor(bus, GROUPS, [looks], grace_s=0.1)
    await first.start()
    id_ = await world.grant("looks", timeout_s=600)
    await until(lambda: runs)
    await first.stop()
    await second.start()
    assert isinstance(await world.result(id_), Completed)
    assert runs == [1, 2]
    await second.stop()


async def test_work_of_many_times_the_broker_s_patience_is_delivered_once(world: World, serve: Serve) -> None:
    """An hour of work, scaled: the broker waits 0.3 s."""
    runs: list[int] = []

    @tool(name="works", effect="pure", timeout_s=3600.0)
    async def works(context: ToolContext) -> int:
        """Work."""
        runs.append(context.attempt)
        await asyncio.sleep(6)
        return context.attempt

    await serve(works, ack_wait_s=0.3)
    assert isinstance(await world.result(await world.grant("works", timeout_s=3600.0)), Completed)
    assert runs == [1]
    assert await deliveries(world.bus, "works") == 1
