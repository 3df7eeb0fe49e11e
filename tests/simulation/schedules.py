"""Timers of the broker: a message with a schedule comes out on its target when it is due, once, somewhat late."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from callboard.bus.message import decode_headers, encode_headers
from callboard_contracts import wire
from tests.simulation.clock import EPOCH_S
from tests.simulation.streams import Stored, Stream

if TYPE_CHECKING:
    from tests.simulation.broker import Broker

_LATE_S = (0.001, 0.245)
_SOURCED_S = (0.0005, 0.02)


def follow(broker: "Broker", stream: Stream, stored: Stored) -> None:
    """Set the timer that a message is; or take what came out of one into the journal that sources it."""
    if stored.tokens[2] == "due":
        broker.at(broker.now() + broker.dice.uniform(*_SOURCED_S), _source, broker, stream, stored)
        return
    schedule = decode_headers(stored.block)[wire.SCHEDULE]
    due = datetime.fromisoformat(schedule.removeprefix("@at ")).astimezone(UTC).timestamp() - EPOCH_S
    broker.at(max(due, broker.now()) + broker.dice.uniform(*_LATE_S), _fire, broker, stream, stored)


def _fire(broker: "Broker", stream: Stream, stored: Stored) -> None:
    if not broker.up:
        broker.at(broker.now() + 0.25, _fire, broker, stream, stored)
        return
    if stream.messages.get(stored.seq) is not stored:
        return  # armed again meanwhile
    headers = decode_headers(stored.block)
    target = headers[wire.SCHEDULE_TARGET]
    kept = {key: value for key, value in headers.items() if not key.startswith("Nats-")}
    kept |= {"Nats-Scheduler": stored.subject, "Nats-Schedule-Next": "purge"}
    stream.remove(stored.seq)
    broker.store(stream, target, encode_headers(kept), stored.body)


def _source(broker: "Broker", stream: Stream, stored: Stored) -> None:
    if stream.messages.get(stored.seq) is not stored:
        return
    journal = broker.streams[stream.name.replace("TIMERS", "JOURNAL")]
    cb, tenant, _, *rest = stored.tokens
    headers = decode_headers(stored.block) | {"Nats-Stream-Source": f"{stream.name} {stored.seq} > > {stored.subject}"}
    broker.store(journal, ".".join((cb, tenant, *rest, "in", "timer")), encode_headers(headers), stored.body)
