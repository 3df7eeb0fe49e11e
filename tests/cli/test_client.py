"""The client of a running system: what breaks on the way costs time and no event."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from callboard.client import Client, Event, Goal
from callboard_contracts.errors import CallboardError

RUN = "01K0000000000000000000000A"
Answer = Callable[[bytes], bytes]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve HTTP: each request gets what `answer` says, and then the connection is cut."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        writer.write(answer(head))
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked


def response(status: int, kind: str, body: str, *, length: int | None = None) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length or len(body)}\r\n\r\n"
    return (head + body).encode()


def record(seq: int, kind: str) -> str:
    return f'id: {seq}\nevent: {kind}\ndata: {{"run":"{RUN}","actor":"run","seq":{seq}}}\n\n'


async def test_a_stream_that_is_cut_goes_on_where_it_was_and_ends_with_the_run() -> None:
    pieces = {
        b"": ": hello\n\n" + record(1, "called") + 'event: chunk\ndata: {"text":"x"}\n\n' + "id: 3\nevent: cal",
        b"1": record(3, "took"),
        b"3": record(7, "ended"),
    }

    def answer(head: bytes) -> bytes:
        after = head.lower().partition(b"last-event-id: ")[2].partition(b"\r\n")[0]
        return response(200, "text/event-stream", pieces[after], length=10_000)

    async with server(answer) as (url, _), Client(url) as client:
        found = [event async for event in client.events(RUN, tokens=True)]
    assert [(event.kind, event.id) for event in found] == [("called", 1), ("chunk", 0), ("took", 3), ("ended", 7)]
    assert found[1] == Event("chunk", {"text": "x"})


async def test_a_childs_ending_does_not_end_the_stream() -> None:
    child = record(1, "ended").replace(RUN, f"{RUN}-2-0", 1)
    body = child + record(2, "ended")
    async with server(lambda _: response(200, "text/event-stream", body)) as (url, _), Client(url) as client:
        assert [event.id async for event in client.events(RUN)] == [1, 2]


async def test_an_error_of_the_system_has_its_code_and_words() -> None:
    problem = '{"code":"unknown_skill","detail":"There is no skill \'x\'."}'
    async with server(lambda _: response(404, "application/problem+json", problem)) as (url, _), Client(url) as client:
        with pytest.raises(CallboardError, match="There is no skill 'x'") as caught:
            await client.submit(Goal(objective="x"))
        with pytest.raises(CallboardError):
            [event async for event in client.events(RUN)]
    assert caught.value.code == "unknown_skill"


@pytest.mark.parametrize(
    ("status", "body"), [(502, "<html>bad gateway</html>"), (200, "<html>hello</html>"), (500, "")]
)
async def test_what_is_no_answer_of_ours_is_said_to_be_none(status: int, body: str) -> None:
    async with server(lambda _: response(status, "text/html", body)) as (url, _), Client(url) as client:
        with pytest.raises(CallboardError) as caught:
            await client.get(RUN)
    assert caught.value.code == "unavailable"


async def test_nobody_at_the_url_is_not_running() -> None:
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(CallboardError) as caught:
            await client.runs()
        assert not await client.ready()
    assert caught.value.code == "not_running"


async def test_the_key_is_sent_and_what_is_left_out_of_a_goal_is_not() -> None:
    taken = f'{{"run":"{RUN}","status_url":"a","events_url":"b"}}'
    accept = response(202, "application/json", taken)
    async with server(lambda _: accept) as (url, asked), Client(url, key="cb_k") as client:
        assert (await client.submit(Goal(objective="x"), idempotency_key="once")).run == RUN
    assert b"authorization: Bearer cb_k" in asked[0]
    assert b"idempotency-key: once" in asked[0]
    assert b"content-length: 17" in asked[0].lower()
