"""Sending spans to a collector: in both forms, and past a span that can never be taken."""

import gzip

import msgspec
import pytest

from callboard.traces import Span, otlp
from callboard.traces.environment import Target
from callboard_contracts import ids
from callboard_services.ledger.traces.form import Form
from callboard_services.ledger.traces.sender import Sender
from tests.ledger.collector import collecting, spans_of

pytestmark = pytest.mark.anyio


def one(name: str) -> Span:
    """Return a span."""
    return Span(
        trace_id="ab" * 16, span_id=ids.span_id(name), name=name, start_ms=1000, end_ms=2000, attributes={}
    )  # fmt: skip


async def test_one_span_that_no_collector_takes_does_not_hold_up_the_others() -> None:
    async with collecting(400, 400, 200) as collector:
        way = Sender(Target(url=collector.hook.url))
        await way.send([one("bad"), one("good")], Form("http/protobuf", {}).traces)
        await way.aclose()
        names = [[span.name for span in spans_of(each)] for each in collector.hook.received]
    assert names == [["bad", "good"], ["bad"], ["good"]]


async def test_one_span_that_cannot_be_written_does_not_hold_up_the_others() -> None:
    async with collecting() as collector:
        way = Sender(Target(url=collector.hook.url))
        wrong = msgspec.structs.replace(one("bad"), attributes={"number": 2**70})
        await way.send([one("a"), wrong, one("b")], Form("http/protobuf", {}).traces)
        await way.aclose()
    assert [span.name for span in collector.spans] == ["a", "b"]


async def test_what_is_sent_as_json_and_compressed_can_be_read() -> None:
    async with collecting() as collector:
        target = Target(url=collector.hook.url, protocol="http/json", gzip=True, headers={"api-key": "k"})
        way = Sender(target)
        await way.send([one("x")], Form("http/json", {"a": "b"}).traces)
        await way.aclose()
        (received,) = collector.hook.received
    assert msgspec.json.decode(gzip.decompress(received.body)) == otlp.traces({"a": "b"}, [one("x")])
    assert received.headers["content-type"] == "application/json"
    assert received.headers["api-key"] == "k"
