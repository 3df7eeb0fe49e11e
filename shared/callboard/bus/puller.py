"""Standing pulls on a durable consumer: overlapping requests, one inbox, a callback per message.

`fetch` in a loop costs 200 µs a message and showed outliers of a second; two overlapping pulls cost 13 µs.
A pull never asks for more than the puller's free room, so a slow service holds no messages it cannot start.
"""

import asyncio
import itertools
from collections.abc import Callable

import msgspec
import structlog

from callboard.bus import layout
from callboard.bus.bus import Bus
from callboard.bus.message import Delivery, status

log = structlog.get_logger()

_EXPIRES_S = 5.0
"""What a process asked for and then froze or was cut off is delivered to it in vain for so long: keep it short."""
_SILENT_S = _EXPIRES_S + 2
_RETRY_S = 0.2
_ROOM = 256
_numbers = itertools.count(1)
_PULL_OVER = frozenset({404, 408, 409})


class Room:
    """How many messages may be held: delivered and not yet given back with `done`.

    Several pullers may share it. Then each asks for little at a time, so that a process does not hold in one stream's
    name what another process could begin, and may still fill the whole room from one stream.

    :param sharing: how many pullers share it.
    """

    def __init__(self, size: int, sharing: int = 1) -> None:
        self.size = size
        self.held = 0
        self.most = size if sharing == 1 else max(1, size // (2 * sharing))
        """What one puller asks for at once."""
        self.freed: list[Callable[[], None]] = []
        """Called when there is room again."""

    def free(self, asked: int) -> int:
        """Return how much more a puller may ask for that has asked for so much."""
        return min(self.most, self.size - self.held) - asked

    def leave(self) -> None:
        """Give back the room of one message."""
        self.held -= 1
        for ask in self.freed:
            ask()


class Puller:
    """Pulls one durable of one stream into a handler. `room` bounds what it holds.

    :param priority: for a durable whose pullers have priorities, from 0 (served first) to 9; None: it has none.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        durable: str,
        handler: Callable[[Delivery], None],
        *,
        room: Room | None = None,
        priority: int | None = None,
    ) -> None:
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._handler = handler
        self._room = room or Room(_ROOM)
        self._priority = priority
        self._asked: dict[str, int] = {}
        """What each pull may still deliver. The broker serves them in the order they were asked."""
        self._name = f"{bus.prefix}-{stream}-{durable}"
        self._inbox = f"{self._name}-{next(_numbers)}"
        """Nobody else's: what an earlier puller of this durable asked for must not come to this one."""
        self._count = 0
        self._sid = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        """When it asked last."""
        self._stopped = False

    async def start(self) -> None:
        """Begin to pull. Messages reach the handler, which must not block."""
        self._sid = await self._bus.client.listen(f"{self._inbox}.*", self._on_message)
        self._bus.on_reconnect.append(self._restart)
        self._room.freed.append(self._ask)
        self._ask()

    def done(self) -> None:
        """Give back the room of one message."""
        self._room.leave()

    async def stop(self) -> None:
        """Pull no more. Messages already delivered stay with their handler; those under way are given back."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._restart in self._bus.on_reconnect:
            self._bus.on_reconnect.remove(self._restart)
            self._room.freed.remove(self._ask)
        await self._bus.client.leave(self._sid)

    async def reprioritise(self, priority: int) -> None:
        """Pull with another priority from now on. What was asked for with the old one is withdrawn."""
        if priority == self._priority or self._stopped:
            return
        self._priority = priority
        before, self._inbox = self._sid, f"{self._name}-{next(_numbers)}"
        self._sid = await self._bus.client.listen(f"{self._inbox}.*", self._on_message)
        self._restart()
        await self._bus.client.leave(before)

    def _restart(self) -> None:
        """Outstanding pulls are gone after a reconnect: ask again."""
        self._asked.clear()
        self._ask()

    def _ask(self) -> None:
        free = self._room.free(sum(self._asked.values()))
        if self._stopped or free < max(1, self._room.most // 4):
            return
        self._count += 1
        inbox = f"{self._inbox}.{self._count}"
        self._asked[inbox] = free
        pull: dict[str, object] = {"batch": free, "expires": int(_EXPIRES_S * 1e9)}
        if self._priority is not None:
            pull |= {"group": layout.OWNERS, "priority": self._priority}
        self._bus.client.write(self._subject, inbox, msgspec.json.encode(pull))
        self._last = asyncio.get_running_loop().time()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SILENT_S, self._look)

    def _look(self) -> None:
        """Ask again when there was no word of a pull long after it expired, as after a silent restart of the broker."""
        loop = asyncio.get_running_loop()
        quiet = loop.time() - self._last
        self._timer = loop.call_later(max(0.1, _SILENT_S - quiet), self._look)
        if quiet >= _SILENT_S:
            self._restart()

    def _on_message(self, message: Delivery) -> None:
        if message.reply.startswith("$JS.ACK."):
            self._deliver(message)
            return
        code = status(message.block)
        if code in _PULL_OVER or code == 503:
            self._asked.pop(message.subject, None)
            delay = 0.0 if code == 408 else _RETRY_S
            asyncio.get_running_loop().call_later(delay, self._ask)

    def _deliver(self, message: Delivery) -> None:
        if self._stopped:
            nak(self._bus, message)
            return
        oldest = next(iter(self._asked), None)
        if oldest is not None:
            self._asked[oldest] -= 1
            if not self._asked[oldest]:
                del self._asked[oldest]
        self._room.held += 1
        self._ask()
        self._handler(message)


def ack(bus: Bus, message: Delivery) -> None:
    """Tell the broker that the message is dealt with."""
    bus.client.write(message.reply, "", b"")


def nak(bus: Bus, message: Delivery, delay_s: float = 0.0) -> None:
    """Give the message back, to be delivered again after a delay."""
    bus.client.write(message.reply, "", b'-NAK {"delay": %d}' % int(delay_s * 1e9))


def term(bus: Bus, message: Delivery) -> None:
    """Take the message out of circulation: it was copied to the dead letters."""
    bus.client.write(message.reply, "", b"+TERM")


def in_progress(bus: Bus, message: Delivery) -> None:
    """Say that the message is still being worked on."""
    bus.client.write(message.reply, "", b"+WPI")
