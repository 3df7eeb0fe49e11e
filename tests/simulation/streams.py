"""A stream of the broker in memory: what is stored, the fence, the limits that our streams use, and look-ups."""

from typing import Any

import msgspec

from callboard.bus.message import decode_headers
from callboard_contracts import wire
from tests.simulation.routing import matches


class Stored(msgspec.Struct):
    """One stored message."""

    seq: int
    subject: str
    tokens: list[str]
    time_ns: int
    block: bytes
    body: bytes


class Fenced(Exception):  # noqa: N818 - what the broker answers
    """The publisher expected another last sequence."""

    def __init__(self, last: int) -> None:
        super().__init__(f"wrong last sequence: {last}")


class Stream:
    """The messages of one stream, in order."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.name: str = config["name"]
        self.config = config
        self.work_queue = config.get("retention") == "workqueue"
        self.schedules = bool(config.get("allow_msg_schedules"))
        self.messages: dict[int, Stored] = {}
        self.last_seq = 0
        self._newest: dict[str, tuple[int, int]] = {}
        """By filter: up to which sequence it was looked for, and the last sequence that fits."""

    def check_fence(self, subject: str, block: bytes) -> None:
        """Refuse a message whose publisher expected another last one.

        :raises Fenced: so it is.
        """
        if b"Nats-Expected" not in block:
            return
        headers = decode_headers(block)
        if wire.FENCE not in headers:
            return
        last = self.last_of(headers.get(wire.FENCE_SUBJECT, subject))
        if last != int(headers[wire.FENCE]):
            raise Fenced(last)

    def append(self, subject: str, block: bytes, body: bytes, time_ns: int) -> Stored:
        """Store a message, and drop what it takes the place of."""
        if self.config.get("max_msgs_per_subject") == 1 and (before := self.last_of(subject)):
            self.remove(before)
        self.last_seq += 1
        stored = Stored(self.last_seq, subject, subject.split("."), time_ns, block, body)
        self.messages[stored.seq] = stored
        return stored

    def remove(self, seq: int) -> None:
        """Take a message out."""
        self.messages.pop(seq, None)

    def last_of(self, filter_: str) -> int:
        """Return the sequence of the last message that fits a filter, 0 when there is none."""
        looked, found = self._newest.get(filter_, (0, 0))
        if found and found not in self.messages:
            looked = found = 0
        if looked < self.last_seq:
            pattern = filter_.split(".")
            for seq in range(self.last_seq, looked, -1):
                message = self.messages.get(seq)
                if message is not None and matches(pattern, message.tokens):
                    found = seq
                    break
            self._newest[filter_] = (self.last_seq, found)
        return found

    def following(self, filter_: str, start: int, most: int) -> list[Stored]:
        """Return the first messages that fit a filter from a sequence on."""
        pattern = filter_.split(".")
        found: list[Stored] = []
        for seq, message in self.messages.items():
            if seq >= start and matches(pattern, message.tokens):
                found.append(message)
                if len(found) == most:
                    break
        return found

    def fitting(self, filter_: str, start: int) -> int:
        """Return how many messages fit a filter from a sequence on."""
        pattern = filter_.split(".")
        return sum(seq >= start and matches(pattern, message.tokens) for seq, message in self.messages.items())
