"""Direct get: one message by sequence, the last or the next of a filter, or a batch of them."""

from typing import TYPE_CHECKING, Any

import msgspec

from callboard.bus.message import encode_headers
from tests.simulation.clock import rfc3339
from tests.simulation.streams import Stored, Stream

if TYPE_CHECKING:
    from tests.simulation.broker import Broker

_NOT_FOUND = b"NATS/1.0 404 Message Not Found\r\n\r\n"


def direct_get(broker: "Broker", stream: Stream, reply: str, body: bytes, subject: str) -> None:
    """Answer a direct get."""
    asked: dict[str, Any] = msgspec.json.decode(body) if body else {"last_by_subj": subject}
    if "batch" in asked:
        _batch(broker, stream, reply, asked)
        return
    found = _one(stream, asked)
    if found is None:
        broker.respond(reply, b"", _NOT_FOUND)
    else:
        broker.respond(reply, found.body, _described(stream, found, {}))


def _one(stream: Stream, asked: dict[str, Any]) -> Stored | None:
    if "last_by_subj" in asked:
        return stream.messages.get(stream.last_of(asked["last_by_subj"]))
    if "next_by_subj" in asked:
        return next(iter(stream.following(asked["next_by_subj"], asked.get("seq", 1), 1)), None)
    return stream.messages.get(asked["seq"])


def _batch(broker: "Broker", stream: Stream, reply: str, asked: dict[str, Any]) -> None:
    filter_, most = asked.get("next_by_subj", ">"), asked["batch"]
    found = stream.following(filter_, asked.get("seq", 1), most)
    if not found:
        broker.respond(reply, b"", _NOT_FOUND)
        return
    pending, last = stream.fitting(filter_, found[0].seq), 0
    for message in found:
        pending -= 1
        more = {"Nats-Num-Pending": str(pending), "Nats-Last-Sequence": str(last)}
        broker.respond(reply, message.body, _described(stream, message, more))
        last = message.seq
    end = f"NATS/1.0 204 EOB\r\nNats-Num-Pending: {pending}\r\nNats-Last-Sequence: {last}\r\n\r\n"
    broker.respond(reply, b"", end.encode())


def described(stream: Stream, stored: Stored) -> dict[str, str]:
    """Return what the broker says of a message that it read or republishes."""
    return {
        "Nats-Stream": stream.name,
        "Nats-Subject": stored.subject,
        "Nats-Sequence": str(stored.seq),
        "Nats-Time-Stamp": rfc3339(stored.time_ns),
    }


def _described(stream: Stream, stored: Stored, more: dict[str, str]) -> bytes:
    return with_headers(stored.block, described(stream, stored) | more)


def with_headers(block: bytes, more: dict[str, str]) -> bytes:
    """Return a block with more headers."""
    return block[:-2] + encode_headers(more).partition(b"\r\n")[2] if block else encode_headers(more)
