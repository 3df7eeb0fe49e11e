"""A client of the broker in memory, with the surface of `callboard.bus.client.LeanClient` that our code uses."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import cast

from nats import errors

from callboard.bus import Bus, Delivery
from callboard.bus.client import Handler, LeanClient
from tests.simulation.broker import Broker, Subscription
from tests.simulation.network import Network

_QUEUED = 2000
"""How many messages wait for a broker that is away: what is more is dropped, as by the real client."""


class SimClient:
    """One connection. Whatever it schedules for its owner runs in the owner's `context`."""

    max_payload = 1024 * 1024

    def __init__(self, broker: Broker, network: Network, context: Context) -> None:
        self.is_connected = True
        self.is_closed = False
        self.on_reconnected: Callable[[], Awaitable[None]] | None = None
        self._broker = broker
        self._network = network
        self._context = context
        self._handlers: dict[int, tuple[Subscription, Handler]] = {}
        self._up: dict[str, float] = {}
        self._down: dict[int, float] = {}
        self._queued: list[tuple[str, str, bytes, bytes]] = []
        self._epoch = 0
        self._sids = 0

    def write(self, subject: str, reply: str, body: bytes, block: bytes = b"") -> None:
        """Send one message, or keep it until there is a broker again. Never waits."""
        if self.is_closed:
            return
        if not self.is_connected:
            if len(self._queued) < _QUEUED:
                self._queued.append((subject, reply, body, block))
            return
        if not self._network.lost_on_the_way_up(subject):
            self._broker.at(self._arrival(subject), self._broker.receive, subject, reply, body, block)

    def _arrival(self, subject: str) -> float:
        lane = subject[:7] if subject.startswith("$JS.") else ""
        if not lane and (stream := self._broker.captures(subject)) is not None:
            lane = stream.name
        arrival = max(self._broker.now() + self._network.delay(), self._up.get(lane, 0.0))
        self._up[lane] = arrival
        return arrival

    async def listen(self, subject: str, handler: Handler, queue: str = "") -> int:
        """Subscribe a handler. The broker knows at once."""
        if queue:
            raise NotImplementedError("queue groups are not simulated")
        self._sids += 1
        sid = self._sids

        def receive(subject: str, reply: str, body: bytes, block: bytes) -> None:
            self._send_down(sid, subject, reply, body, block)

        subscription = Subscription(subject, self, receive)
        self._handlers[sid] = (subscription, handler)
        if self.is_connected:
            self._broker.subscribe(subscription)
        return sid

    def _send_down(self, sid: int, subject: str, reply: str, body: bytes, block: bytes) -> None:
        if self._network.lost_on_the_way_down(subject, reply, block):
            return
        arrival = max(self._broker.now() + self._network.delay(), self._down.get(sid, 0.0))
        self._down[sid] = arrival
        message = Delivery(subject, reply, body, block)
        self._broker.loop.call_at(arrival, self._hand_over, sid, self._epoch, message, context=self._context)
        if reply.startswith("$JS.ACK.") and (after := self._network.doubled()):
            _, _, stream, durable, _, seq, *_ = reply.split(".")
            self._broker.at(self._broker.now() + after, self._broker.consumers[stream, durable].deliver_again, int(seq))

    def _hand_over(self, sid: int, epoch: int, message: Delivery) -> None:
        found = self._handlers.get(sid)
        if found is not None and epoch == self._epoch and not self.is_closed:
            found[1](message)

    async def unlisten(self, sid: int) -> None:
        """Stop a handler."""
        found = self._handlers.pop(sid, None)
        if found is not None:
            self._broker.unsubscribe(found[0])

    async def leave(self, sid: int) -> None:
        """Stop a handler, which still gets what the broker had sent before it knew."""
        if sid in self._handlers:
            self._broker.unsubscribe(self._handlers[sid][0])
            await self._until(self._down.get(sid, 0.0))
        self._handlers.pop(sid, None)

    async def flush(self, timeout: int = 10) -> None:
        """Wait until the broker has seen everything that was sent.

        :raises nats.errors.Error: closed, or the connection broke meanwhile.
        """
        if self.is_closed:
            raise errors.ConnectionClosedError
        if not self.is_connected:
            return
        epoch = self._epoch
        await self._until(min(max(self._up.values(), default=0.0), self._broker.now() + timeout))
        await asyncio.sleep(self._network.delay())
        if epoch != self._epoch:
            await asyncio.sleep(timeout)
            raise errors.FlushTimeoutError

    async def _until(self, when: float) -> None:
        left = when - self._broker.now()
        if left > 0:
            await asyncio.sleep(left)

    async def close(self) -> None:
        """End the connection."""
        self.cut()
        self.is_closed = True

    def cut(self) -> None:
        """Lose the connection: what the broker had sent is gone, what it was sent may still be under way."""
        if not self.is_connected:
            return
        self.is_connected = False
        self._epoch += 1
        self._up.clear()
        self._down.clear()
        for subscription, _ in self._handlers.values():
            self._broker.unsubscribe(subscription)
        for consumer in self._broker.consumers.values():
            consumer.forget_pulls(lambda inbox: not self._broker.listens(inbox))

    def reconnect(self) -> None:
        """Be connected again: subscriptions first, then what was queued, then who wants to know."""
        if self.is_closed or self.is_connected or not self._broker.up:
            return
        self.is_connected = True
        for subscription, _ in self._handlers.values():
            self._broker.subscribe(subscription)
        queued, self._queued = self._queued, []
        for message in queued:
            self.write(*message)
        if self.on_reconnected is not None:
            self._broker.loop.create_task(self.on_reconnected(), context=self._context)  # type: ignore[arg-type]


async def connected(client: SimClient, name: str) -> Bus:
    """Return a bus over a client, as `Bus.connect` makes one."""
    bus = Bus(cast("LeanClient", client), name)
    client.on_reconnected = bus._on_reconnected
    await client.listen(f"{bus.prefix}.*", bus._on_reply)
    return bus
