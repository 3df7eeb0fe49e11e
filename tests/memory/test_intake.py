"""A document comes in over a subject of its own: whole or not at all, and its answer waits for who asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from callboard.bus import Bus, NoAnswer
from callboard.bus.errors import NobodyListens
from callboard_contracts import subjects
from callboard_contracts.errors import CallboardError
from callboard_services.memory.ingest import intake as intakes
from callboard_services.memory.ingest.fetch import MAX_BYTES
from callboard_services.memory.ingest.intake import Intake
from callboard_services.memory.ingest.wanted import Wanted


class Client:
    """Who gives a document."""

    def __init__(self, bus: Bus, token: str) -> None:
        self._bus = bus
        self._subject = subjects.ask("default", "memory", f"ingest.{token}")

    async def send(self, body: bytes, timeout_s: float = 5.0) -> Any:
        """Send a piece, or the question for the answer."""
        return msgspec.json.decode((await self._bus.request(self._subject, body, timeout_s=timeout_s)).body)

    async def left(self) -> None:
        """Wait until nobody listens any more."""
        async with asyncio.timeout(5):
            while True:
                try:
                    await self.send(b"", 0.02)
                except NobodyListens:
                    return
                except NoAnswer:
                    continue


async def measured(_: str, wanted: Wanted, data: bytes) -> dict[str, Any]:
    """Ingest nothing, and tell what there was."""
    if wanted.source == "slow":
        await asyncio.sleep(0.3)
    if wanted.source == "broken":
        raise RuntimeError("a bug")
    if wanted.source == "refused":
        raise CallboardError("unreadable_document", "it is a picture")
    return {"data": data.decode()}


@asynccontextmanager
async def open_for(broker: str, size: int, source: str = "a", patience_s: float = 5.0) -> AsyncIterator[Client]:
    """Open the subject of a document of so many bytes."""
    async with await Bus.connect(broker, name="memory") as bus, await Bus.connect(broker, name="gateway") as other:
        intake = Intake(bus, measured, patience_s=patience_s)
        opened = await intake.begin("default", Wanted(principal="me", source=source, bytes=size))
        try:
            yield Client(other, opened["token"])
        finally:
            await intake.stop()


async def test_pieces_become_the_whole_and_the_answer_is_fetched_once_it_is_there(broker: str) -> None:
    async with open_for(broker, 6) as client:
        assert await client.send(b"abc") == {"got": 3}
        assert await client.send(b"def") == {"got": 6}
        assert await client.send(b"") == {"data": "abcdef"}
        with pytest.raises(NoAnswer):
            await client.send(b"", 0.3)


async def test_the_answer_may_be_asked_for_before_the_last_piece_has_come(broker: str) -> None:
    async with open_for(broker, 3) as client:
        early = asyncio.create_task(client.send(b""))
        assert await client.send(b"abc") == {"got": 3}
        assert await early == {"data": "abc"}


async def test_more_bytes_than_were_announced_are_refused_and_change_nothing(broker: str) -> None:
    async with open_for(broker, 3) as client:
        assert (await client.send(b"abcd"))["error"] == "invalid_request"
        assert await client.send(b"abc") == {"got": 3}
        assert await client.send(b"") == {"data": "abc"}


async def test_who_waits_long_hears_that_it_is_still_worked_on(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intakes, "POLL_S", 0.05)
    async with open_for(broker, 1, "slow") as client:
        await client.send(b"x")
        assert await client.send(b"") == {"working": True}
        monkeypatch.setattr(intakes, "POLL_S", 5.0)
        assert await client.send(b"") == {"data": "x"}


@pytest.mark.parametrize(("source", "code"), [("refused", "unreadable_document"), ("broken", "internal")])
async def test_whatever_goes_wrong_is_an_answer(broker: str, source: str, code: str) -> None:
    async with open_for(broker, 1, source) as client:
        await client.send(b"x")
        assert (await client.send(b""))["error"] == code


async def test_who_goes_away_is_not_waited_for(broker: str) -> None:
    async with open_for(broker, 3, patience_s=0.05) as client:
        assert await client.send(b"a") == {"got": 1}
        await client.left()


async def test_what_would_be_too_large_is_refused_before_it_comes(broker: str) -> None:
    async with await Bus.connect(broker, name="memory") as bus:
        with pytest.raises(CallboardError) as caught:
            await Intake(bus, measured).begin("default", Wanted(principal="me", bytes=MAX_BYTES + 1))
        assert caught.value.code == "file_too_large"


async def test_so_many_documents_come_in_at_once_and_no_more(broker: str) -> None:
    async with await Bus.connect(broker, name="memory") as bus:
        intake = Intake(bus, measured)
        for _ in range(8):
            await intake.begin("default", Wanted(principal="me", source="a", bytes=1))
        with pytest.raises(CallboardError) as caught:
            await intake.begin("default", Wanted(principal="me", source="a", bytes=1))
        assert caught.value.code == "unavailable"
        await intake.stop()
        assert await intake.begin("default", Wanted(principal="me", source="a", bytes=1))
        await intake.stop()
