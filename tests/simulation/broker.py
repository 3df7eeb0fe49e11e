"""The broker in memory: core publish and subscribe, and the subset of JetStream that Callboard uses.

It is asked through `SimClient` alone, over links that the network may delay, reorder and cut; here everything happens
at once and in order. Time is the loop's. What it stores, it tells to `on_stored`, in the order of storing.
"""

from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any

import msgspec

from callboard.bus import layout
from tests.simulation import api, schedules
from tests.simulation.clock import EPOCH_S
from tests.simulation.consumers import Consumer
from tests.simulation.direct_get import described, with_headers
from tests.simulation.loop import VirtualLoop
from tests.simulation.routing import Trie
from tests.simulation.streams import Fenced, Stored, Stream

Receive = Callable[[str, str, bytes, bytes], None]
"""Takes subject, reply, body and headers of a message that a subscription is sent."""

_NOBODY = b"NATS/1.0 503\r\n\r\n"
_FENCE_ERROR = 10071


class Subscription:
    """Somebody's interest in subjects. `owner` tells whose."""

    __slots__ = ("owner", "pattern", "receive")

    def __init__(self, pattern: str, owner: object, receive: Receive) -> None:
        self.pattern = pattern
        self.owner = owner
        self.receive = receive


class Broker:
    """See the module.

    :param dice: how late timers are. :param fences: False plays a broker that ignores the fence, as a test's bug.
    """

    def __init__(self, loop: VirtualLoop, dice: Random, *, fences: bool = True) -> None:
        self.loop = loop
        self.dice = dice
        self.streams: dict[str, Stream] = {}
        self.consumers: dict[tuple[str, str], Consumer] = {}
        self.on_stored: list[Callable[[Stream, Stored], None]] = []
        self.up = True
        self._fences = fences
        self._context = Context()
        self._captures: Trie[str] = Trie()
        self._captured: dict[str, Stream | None] = {}
        self._subscriptions: Trie[Subscription] = Trie()
        self._by_stream: dict[str, list[Consumer]] = {}

    def now(self) -> float:
        """Return the time, in seconds since the simulation began."""
        return self.loop.time()

    def now_ns(self) -> int:
        """Return the time, in ns since 1970."""
        return int((EPOCH_S + self.loop.time()) * 1e6) * 1000

    def at(self, when: float, callback: Callable[..., object], *args: Any) -> None:
        """Do something later, in nobody's life."""
        self.loop.call_at(when, callback, *args, context=self._context)

    def provision(self, groups: int, ack_wait_s: float) -> None:
        """Create what `layout` declares."""
        for config in layout.streams(groups):
            self.add_stream(config)
        for stream, config in layout.consumers(groups, ack_wait_s):
            self.add_consumer(stream, config)

    def add_stream(self, config: dict[str, Any]) -> None:
        """Create a stream."""
        stream = self.streams[config["name"]] = Stream(config)
        self._by_stream[stream.name] = []
        for pattern in config["subjects"]:
            self._captures.add(pattern, stream.name)
        self._captured.clear()

    def add_consumer(self, stream: str, config: dict[str, Any]) -> None:
        """Create a durable."""
        consumer = Consumer(self, self.streams[stream], config)
        self.consumers[stream, consumer.name] = consumer
        self._by_stream[stream].append(consumer)

    def captures(self, subject: str) -> Stream | None:
        """Return the stream that stores a subject."""
        try:
            return self._captured[subject]
        except KeyError:
            names = self._captures.find(subject)
            found = self._captured[subject] = self.streams[names[0]] if names else None
            return found

    def subscribe(self, subscription: Subscription) -> None:
        """Take note of an interest."""
        self._subscriptions.add(subscription.pattern, subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget an interest."""
        self._subscriptions.remove(subscription.pattern, subscription)

    def listens(self, subject: str) -> bool:
        """Tell whether anybody is interested in a subject."""
        return bool(self._subscriptions.find(subject))

    def respond(self, inbox: str, body: bytes, block: bytes, *, subject: str = "", reply: str = "") -> None:
        """Send to an inbox; what a consumer delivers carries the subject it is stored under."""
        for subscription in self._subscriptions.find(inbox):
            subscription.receive(subject or inbox, reply, body, block)

    def receive(self, subject: str, reply: str, body: bytes, block: bytes) -> None:
        """Take a message from a client."""
        if not self.up:
            return
        if subject.startswith("$JS.ACK."):
            _, _, stream, durable, _, seq, *_ = subject.split(".")
            self.consumers[stream, durable].acknowledge(int(seq), body)
        elif subject.startswith("$JS.API."):
            if not api.answer(self, subject[8:], reply, body) and reply:
                self.respond(reply, b"", _NOBODY)
        else:
            self._publish(subject, reply, body, block)

    def _publish(self, subject: str, reply: str, body: bytes, block: bytes) -> None:
        interested = self._subscriptions.find(subject)
        for subscription in interested:
            subscription.receive(subject, reply, body, block)
        stream = self.captures(subject)
        if stream is not None:
            answer = self._store_fenced(stream, subject, block, body)
            if reply:
                self.respond(reply, answer, b"")
        elif reply and not interested:
            self.respond(reply, b"", _NOBODY)

    def _store_fenced(self, stream: Stream, subject: str, block: bytes, body: bytes) -> bytes:
        try:
            if self._fences:
                stream.check_fence(subject, block)
        except Fenced as error:
            problem = {"code": 400, "err_code": _FENCE_ERROR, "description": str(error)}
            return msgspec.json.encode({"error": problem, "stream": stream.name, "seq": 0})
        stored = self.store(stream, subject, block, body)
        return b'{"stream":"%s","seq":%d}' % (stream.name.encode(), stored.seq)

    def store(self, stream: Stream, subject: str, block: bytes, body: bytes) -> Stored:
        """Store a message and do all that follows: deliveries, timers, sources, republishing."""
        stored = stream.append(subject, block, body, self.now_ns())
        for told in self.on_stored:
            told(stream, stored)
        for consumer in self._by_stream[stream.name]:
            consumer.offer(stored)
        if stream.schedules:
            schedules.follow(self, stream, stored)
        if "republish" in stream.config and stored.tokens[6:7] == ["log"]:
            self._republish(stream, stored)
        return stored

    def _republish(self, stream: Stream, stored: Stored) -> None:
        _, tenant, _, _, tree, run, _, *rest = stored.tokens
        live = f"cb.{tenant}.live.{tree}.{run}.{'.'.join(rest)}"
        interested = self._subscriptions.find(live)
        if interested:
            block = with_headers(stored.block, described(stream, stored))
            for subscription in interested:
                subscription.receive(live, "", stored.body, block)
