"""Reading the journal by direct get: one record by sequence, the last of a group, or all of a group in order."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from callboard.bus.bus import Bus
from callboard.bus.errors import NoAnswer
from callboard.bus.message import Delivery, status

_BATCH = 256


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


async def _one(bus: Bus, stream: str, what: dict[str, object]) -> Delivery | None:
    found = await bus.request(f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(what))
    return found if found.headers.get("Nats-Sequence") else None


async def scan(bus: Bus, stream: str, subject: str, start: int = 1, *, since: str = "") -> AsyncIterator[Delivery]:
    """Yield every message of a group of subjects from a sequence on, in order, up to what is stored now.

    `since`, a time such as `2026-01-01T00:00:00Z`, takes the place of `start`.

    :raises NoAnswer: the broker stopped answering.
    """
    where: dict[str, object] = {"start_time": since} if since else {"seq": max(1, start)}
    while True:
        page, more = await _page(bus, stream, {"next_by_subj": subject, "batch": _BATCH, **where})
        for message in page:
            yield message
        if not page or not more:
            return
        where = {"seq": page[-1].seq + 1}


async def _page(bus: Bus, stream: str, what: dict[str, object]) -> tuple[list[Delivery], bool]:
    """Return one batch and whether more follow."""
    answers: asyncio.Queue[Delivery] = asyncio.Queue()
    bus._counter += 1
    inbox = f"{bus.prefix}-scan.{bus._counter}"
    sid = await bus.client.listen(inbox, answers.put_nowait)
    try:
        bus.client.write(f"$JS.API.DIRECT.GET.{stream}", inbox, msgspec.json.encode(what))
        return await _collect(answers, stream)
    finally:
        await bus.client.unlisten(sid)


async def _collect(answers: asyncio.Queue[Delivery], stream: str) -> tuple[list[Delivery], bool]:
    page: list[Delivery] = []
    while True:
        try:
            async with asyncio.timeout(5):
                answer = await answers.get()
        except TimeoutError:
            raise NoAnswer(f"no answer while reading {stream}") from None
        if code := status(answer.block):
            if code == 503:
                raise NoAnswer(f"there is no stream {stream}")
            return page, code == 204 and answer.headers.get("Nats-Num-Pending", "0") != "0"
        page.append(answer)
