"""Reading the journal by direct get: one record by sequence, the last of a group, or all of a group in order."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

import msgspec

from callboard.bus.bus import Bus
from callboard.bus.errors import NoAnswer
from callboard.bus.message import Delivery, status

_BATCH = 256
_SILENT_S = 5.0


async def get(bus: Bus, stream: str, seq: int) -> Delivery | None:
    """Return the message with a sequence, None when there is none (0.1–0.2 ms at any size).

    :raises NoAnswer: the broker does not answer.
    """
    return await _one(bus, stream, {"seq": seq})


async def last(bus: Bus, stream: str, subject: str) -> Delivery | None:
    """Return the last message of a subject or a group of subjects, None when there is none (0.2 ms at any size).

    :raises NoAnswer: the broker does not answer.
    """
    return await _one(bus, stream, {"last_by_subj": subject})


async def following(bus: Bus, stream: str, subject: str, start: int) -> Delivery | None:
    """Return the first message of a group of subjects from a sequence on, None when there is none yet (0.1 ms).

    :raises NoAnswer: the broker does not answer.
    """
    return await _one(bus, stream, {"next_by_subj": subject, "seq": max(1, start)})


async def backwards(bus: Bus, stream: str, fence: str) -> AsyncIterator[Delivery]:
    """Yield the records of an actor, the last one first, each by the `prev` of the one after it.

    :raises NoAnswer: the broker does not answer.
    """
    found = await last(bus, stream, fence)
    while found is not None:
        yield found
        found = await get(bus, stream, found.prev) if found.prev else None


async def _one(bus: Bus, stream: str, what: dict[str, object]) -> Delivery | None:
    found = await bus.request(f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(what))
    return found if found.headers.get("Nats-Sequence") else None


async def scan(bus: Bus, stream: str, subject: str, start: int = 1, *, since: str = "") -> AsyncIterator[Delivery]:
    """Yield every message of a group of subjects from a sequence on, in order, up to what is stored now.

    `since`, a time such as `2026-01-01T00:00:00Z`, takes the place of `start`.

    :raises NoAnswer: the broker stopped answering.
    """
    async with Pages(bus, stream, subject) as pages:
        page, more = await pages.read(start, since=since)
        while True:
            for message in page:
                yield message
            if not page or not more:
                return
            page, more = await pages.read(page[-1].seq + 1)


class Pages:
    """Reads on in a group of subjects, a page at a time, over one inbox. Use it as an async context manager.

    No consumer: nothing is delivered or acknowledged, and the broker keeps nothing. What was purged is passed over.

    :param batch: how many messages a page has at most. :param most_bytes: and how many bytes; 0: as the broker likes.
    """

    def __init__(self, bus: Bus, stream: str, subject: str, *, batch: int = _BATCH, most_bytes: int = 0) -> None:
        self._bus = bus
        self._stream = stream
        self._what: dict[str, object] = {"next_by_subj": subject, "batch": batch}
        if most_bytes:
            self._what["max_bytes"] = most_bytes
        bus._counter += 1
        self._inbox = f"{bus.prefix}-scan.{bus._counter}"
        self._sid = 0
        self._count = 0
        self._asked = ""
        """Where the page is answered that was asked for last: what comes elsewhere, late, is not of it."""
        self._page: list[Delivery] = []
        self._body = b""
        self._end: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._end.cancel()

    async def __aenter__(self) -> Self:
        self._sid = await self._bus.client.listen(f"{self._inbox}.*", self._on_answer)
        self._bus.on_reconnect.append(self._ask)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._bus.on_reconnect.remove(self._ask)
        await self._bus.client.unlisten(self._sid)

    async def read(self, start: int, *, since: str = "") -> tuple[list[Delivery], bool]:
        """Return what is stored from a sequence on, as much as a page holds, and whether more follows.

        :raises NoAnswer: the broker does not answer.
        """
        self._end = asyncio.get_running_loop().create_future()
        where = {"start_time": since} if since else {"seq": max(1, start)}
        self._body = msgspec.json.encode(self._what | where)
        self._ask()
        last = await self._ended()
        code = status(last.block)
        if code == 503:
            raise NoAnswer(f"there is no stream {self._stream}")
        return self._page, code == 204 and last.headers.get("Nats-Num-Pending", "0") != "0"

    async def _ended(self) -> Delivery:
        """Wait for the end of the page, as long as it grows."""
        while True:
            before = len(self._page)
            try:
                async with asyncio.timeout(_SILENT_S):
                    return await asyncio.shield(self._end)
            except TimeoutError:
                if len(self._page) == before:
                    raise NoAnswer(f"no answer while reading {self._stream}") from None

    def _on_answer(self, answer: Delivery) -> None:
        if answer.subject != self._asked:
            return
        if not status(answer.block):
            self._page.append(answer)
        elif not self._end.done():
            self._end.set_result(answer)

    def _ask(self) -> None:
        """Ask for the page that is wanted; after a reconnect again, for the broker may not have heard it."""
        if self._end.done():
            return
        self._count += 1
        self._asked = f"{self._inbox}.{self._count}"
        self._page = []
        self._bus.client.write(f"$JS.API.DIRECT.GET.{self._stream}", self._asked, self._body)
