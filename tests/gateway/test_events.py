"""A stream of events misses nothing and repeats nothing, wherever it is cut and whatever is lost on the way."""

import asyncio
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from callboard.bus import Bus, Delivery, layout, reader
from callboard.bus.objects import put_blob
from callboard.testing.records import BusSink, Costs, Play, answer
from callboard_contracts import call, ids, live, run, subjects, wire
from callboard_services.gateway.events import _pieces as pieces
from callboard_services.gateway.house import House
from callboard_services.gateway.tail import Tail
from tests.gateway.conftest import Event, Site, eventually, site_on

ROOT = ids.ulid(1_767_225_600_000, b"0123456789")
CHILD = ids.call_id(ROOT, 2, 0)
EVENTS = f"/v1/runs/{ROOT}/events"
STREAM = layout.journal_of(ROOT, 2)


async def stored(bus: Bus) -> list[int]:
    """Return the sequence of every record of the tree, in order."""
    records = subjects.records_of_tree("default", ROOT)
    return [record.seq async for record in reader.scan(bus, STREAM, records)]


async def write_tree(bus: Bus, *, pause_s: float = 0.0) -> Play:
    """Write a root that waits for a sub-agent, between other trees' records, then its end."""
    play = Play(BusSink(bus))
    await play.accept(ROOT)
    taken = await play.call(ROOT, 1, "model", answer("model", 120), Costs())
    await play.record("run", ROOT, run.Took(results=(taken,)))
    for number in range(3):
        await play.write(ids.ulid(1_767_225_600_000 + number, b"another---"), rounds=1)
        await asyncio.sleep(pause_s)
    await play.write(CHILD, rounds=4)
    await asyncio.sleep(pause_s)
    taken = await play.call(ROOT, 3, "files.read", answer("files.read", 0), Costs())
    await play.record("run", ROOT, run.Took(results=(taken,)))
    await play.end(ROOT, "completed", {"total": 128.5}, 240, [], turns=2)
    return play


def seqs(events: list[Event]) -> list[int]:
    return [int(event.id) for event in events]


async def told(bus: Bus) -> list[int]:
    """Return what a stream must bring: every record of the tree up to the root's own end."""
    end = await reader.last(bus, STREAM, str(subjects.Address.of_run("default", ROOT).at("log", "ended")))
    assert end is not None
    return [seq for seq in await stored(bus) if seq <= end.seq]


async def test_a_finished_run_is_told_from_its_first_record_to_its_end(site: Site) -> None:
    await write_tree(site.bus)
    events = await site.events(EVENTS)
    assert seqs(events) == await told(site.bus)
    assert (events[0].kind, events[-1].kind) == ("accepted", "ended")
    assert {event.data["run"] for event in events} == {ROOT, CHILD}
    assert {event.data["actor"] for event in events} == {"run", "tree"}
    for event in events:
        assert event.data["seq"] == int(event.id)
        assert event.data["time"].endswith("Z")
        assert subjects.Subject.parse(event.data["subject"]).kind == event.kind


async def test_resumed_at_twenty_random_points_while_it_runs_it_misses_and_repeats_nothing(site: Site) -> None:
    dice = random.Random(11)  # noqa: S311 - the same at every run
    play = Play(BusSink(site.bus))
    await play.accept(ROOT)
    writing = asyncio.create_task(_finish(play))
    got: list[Event] = []
    for _ in range(20):
        last = {"Last_Event_ID": got[-1].id} if got else {}
        got += await site.events(EVENTS, most=dice.randint(1, 4), **last)
    got += await site.events(EVENTS, Last_Event_ID=got[-1].id)
    await writing
    assert seqs(got) == await told(site.bus)
    whole = await site.events(EVENTS)
    assert [(e.id, e.kind, e.data) for e in whole] == [(e.id, e.kind, e.data) for e in got]


async def _finish(play: Play) -> None:
    for turn in range(1, 30):
        tool = "model" if turn % 2 else "files.read"
        taken = await play.call(ROOT, turn, tool, answer(tool, 10), Costs())
        await play.record("run", ROOT, run.Took(results=(taken,)))
        await asyncio.sleep(0.002)
    await play.end(ROOT, "completed", "done", 300, [])


class Lossy(Tail):
    """A tail whose news are lost on the way, three of four."""

    dice = random.Random(5)  # noqa: S311 - the same at every run

    def _on_live(self, news: Delivery) -> None:
        if self.dice.random() < 0.25:
            super()._on_live(news)


async def test_what_is_lost_on_live_is_read_from_the_journal_in_its_place(site: Site) -> None:
    got: list[int] = []
    async with Lossy(site.bus, STREAM, "default", ROOT, chunks=False, heartbeat_s=0.2) as tail:
        writing = asyncio.create_task(write_tree(site.bus, pause_s=0.05))
        idle = 0
        async for found in tail.follow(0):
            if found is not None:
                got.append(found.seq)
            idle += writing.done() and found is None
            if idle == 2:
                break
    assert got == await stored(site.bus)


def cut(bus: Bus) -> None:
    """Break a connection, as a network does."""
    transport: Any = bus.client._transport
    transport._io_writer.transport.abort()


async def test_nothing_is_lost_when_the_connection_is(site: Site) -> None:
    async with await Bus.connect(site.settings.nats, name="cut") as bus:
        got: list[int] = []
        async with Tail(bus, STREAM, "default", ROOT, chunks=False, heartbeat_s=60) as tail:
            writing = asyncio.create_task(write_tree(site.bus, pause_s=0.2))

            async def read_all() -> None:
                async for found in tail.follow(0):
                    assert found is not None
                    got.append(found.seq)

            reading = asyncio.create_task(read_all())
            await asyncio.sleep(0.1)
            cut(bus)
            await writing
            expected = await stored(site.bus)
            await eventually(lambda: len(got) >= len(expected))
            reading.cancel()
    assert got == expected


async def test_a_sub_agents_stream_holds_its_own_records_and_ends_with_it(site: Site) -> None:
    await write_tree(site.bus)
    events = await site.events(f"/v1/runs/{CHILD}/events")
    assert {event.data["run"] for event in events} == {CHILD}
    assert events[-1].kind == "ended"


async def test_results_bring_their_outputs_as_far_as_they_are_small(site: Site) -> None:
    play = Play(BusSink(site.bus))
    await play.accept(ROOT)
    outputs: list[dict[str, Any]] = [{"output": {"text": "small"}}, {"output": "é" * 5000}]
    outputs.append({"output_ref": await put_blob(site.bus, b'"large"')})
    for turn, output in enumerate(outputs, 1):
        taken = await play.call(ROOT, turn, "files.read", _completed(output), Costs())
        await play.record("run", ROOT, run.Took(results=(taken,)))
    lost = run.Taken(call=ids.call_id(ROOT, 9, 0), tool="files.read", status="lost", seq=1, code="call_timeout")
    await play.record("run", ROOT, run.Took(results=(lost,)))
    await play.end(ROOT, "completed", "done", 0, [])
    results = [event.data["events"][0]["results"][0] for event in await site.events(EVENTS) if event.kind == "took"]
    assert results[0]["output"] == {"text": "small"}
    assert len(results[1]["output_head"].encode()) <= 4096
    assert results[1]["output_bytes"] == 10_002
    assert results[2]["output_ref"] == outputs[2]["output_ref"]
    assert not {"output", "output_head", "output_ref"} & results[3].keys()


def _completed(output: dict[str, Any]) -> Any:
    return lambda call_id: call.Completed(call=call_id, **output)


async def test_tokens_come_when_they_are_wanted_and_have_no_id(site: Site) -> None:
    play = Play(BusSink(site.bus))
    await play.accept(ROOT)
    wanted = asyncio.create_task(site.events(f"{EVENTS}?stream=tokens"))
    plain = asyncio.create_task(site.events(EVENTS))
    await asyncio.sleep(0.5)
    said = live.Chunk(call=ids.call_id(ROOT, 1, 0), text="The total")
    site.bus.send(subjects.stream("default", said.call), wire.encode(said))
    await site.bus.flush()
    await asyncio.sleep(0.2)
    await play.end(ROOT, "completed", "done", 0, [])
    chunks = [event for event in await wanted if event.kind == "chunk"]
    assert [(event.id, event.data["text"], event.data["run"]) for event in chunks] == [("", "The total", ROOT)]
    assert all(event.kind != "chunk" for event in await plain)


async def test_who_has_seen_the_end_is_told_to_stop_asking(site: Site) -> None:
    await write_tree(site.bus)
    last = (await site.events(EVENTS))[-1].id
    assert (await site.http.get(EVENTS, headers={"Last-Event-ID": last})).status_code == 204
    assert await site.events(f"{EVENTS}?after={int(last) - 1}") != []


async def test_a_stream_of_a_goal_that_waits_begins_with_its_run(site: Site) -> None:
    run_id = (await site.post({"objective": "later"})).json()["run"]
    reading = asyncio.create_task(site.events(f"/v1/runs/{run_id}/events"))
    await asyncio.sleep(0.3)
    await Play(BusSink(site.bus)).write(run_id, rounds=1)
    assert (await reading)[0].kind == "accepted"


@pytest.mark.parametrize("query", ["?after=x", "?after=-1", "?stream=all", "?since=1"])
async def test_a_parameter_that_cannot_be_read_is_named(site: Site, query: str) -> None:
    await write_tree(site.bus)
    answer_ = await site.http.get(EVENTS + query)
    assert (answer_.status_code, answer_.json()["code"]) == (400, "invalid_request")


async def test_an_idle_stream_is_kept_open_by_heartbeats(site: Site) -> None:
    await Play(BusSink(site.bus)).accept(ROOT)
    house: Any = House(site.bus, 2, "default", None, None, True, heartbeat_s=0.05)  # type: ignore[arg-type]
    found = pieces(house, ROOT, 0, tokens=False)
    assert b": still here\n\n" in [await anext(found) for _ in range(5)]
    await found.aclose()


async def test_a_client_that_never_reads_is_cut_off_and_others_go_on(
    fresh_broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callboard_services.gateway.serve.House", _impatient)
    async with site_on(fresh_broker, tmp_path / "data") as site:
        play = Play(BusSink(site.bus))
        await play.accept(ROOT)
        with socket.socket() as idle:
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(idle.connect, ("127.0.0.1", int(site.url.rpartition(":")[2])))
            idle.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            reading = asyncio.create_task(site.events(EVENTS))
            for turn in range(1, 600):
                noted = run.Noted(text="x" * 16_000)
                await play.record("run", ROOT, noted)
                if turn % 100 == 0:
                    await asyncio.sleep(0)
            await play.end(ROOT, "completed", "done", 0, [])
            assert (await reading)[-1].kind == "ended"
            await asyncio.sleep(2.5)
            assert await asyncio.to_thread(_was_reset, idle)


def _impatient(**given: Any) -> House:
    return House(**given, patience_s=1.0)


def _was_reset(connection: socket.socket) -> bool:
    """Read on: a connection that was cut off ends before the stream does."""
    connection.settimeout(5)
    got = b""
    try:
        while part := connection.recv(1 << 20):
            got += part
    except ConnectionResetError:
        return True
    return b"event: ended" not in got


async def test_when_the_gateway_stops_its_streams_end_and_go_on_elsewhere(fresh_broker: str, tmp_path: Path) -> None:
    async with site_on(fresh_broker, tmp_path / "one") as first, site_on(fresh_broker, tmp_path / "two") as second:
        play = Play(BusSink(first.bus))
        await play.accept(ROOT)
        reading = asyncio.create_task(first.events(EVENTS))
        await asyncio.sleep(0.3)
        first.stop.set()
        got = await reading
        await play.write(CHILD, rounds=1)
        await play.end(ROOT, "completed", "done", 0, [])
        got += await second.events(EVENTS, Last_Event_ID=got[-1].id)
        assert seqs(got) == await told(first.bus)
