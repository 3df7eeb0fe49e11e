"""High-water marks: the last sequence of every stream, kept beside the broker's store, so that no loss is silent.

After a damaged block a server that has to rebuild its index keeps what comes before it and goes on from there: what
was acknowledged is gone, new records take the old numbers, and nobody is told. So what a stream has reached is written
down outside it, every second while it changes and when the broker stops, and compared before anything is published.

Every stream of Callboard has a mark, because each going back breaks a promise: JOURNAL the fences and the hash chains,
GOALS an acceptance, TIMERS a deadline (the journal takes timers on from the sequence it knows), DEAD what an operator
must see, the buckets a revision, a claim or a file that records refer to. What is lost of the last second before a
crash can be missed. Sequences survive consuming, purging and expiry, so none of these looks like a loss.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import structlog

from callboard.bus import Bus, BusError, layout
from callboard_contracts.errors import CallboardError

log = structlog.get_logger()

FILE = "marks.json"
EVERY_S = 1.0
_CODE = "journal_went_back"
_KEPT = ("JOURNAL-", "OBJ_", "AUDIT")
"""Streams in which nothing expires: after an orderly stop they hold exactly what they held."""
_OURS = frozenset(config["name"] for config in layout.streams(layout.MAX_GROUPS))


class Mark(msgspec.Struct, frozen=True):
    """What a stream had reached."""

    last_seq: int = 0
    messages: int = 0
    """How many it held. Purging makes it less, so it says something after an orderly stop alone."""


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """The file."""

    streams: dict[str, Mark] = {}
    written_ms: int = 0
    orderly: bool = False
    """Written at the end of an orderly stop: nothing came after it."""


class _State(msgspec.Struct):
    last_seq: int = 0
    messages: int = 0


class _Config(msgspec.Struct):
    name: str


class _Stream(msgspec.Struct):
    config: _Config
    state: _State


class _Page(msgspec.Struct):
    streams: list[_Stream] | None = None
    total: int = 0


def read(data: Path) -> Marks | None:
    """Return the marks of a data folder, None when there are none yet.

    :raises CallboardError: `journal_went_back`, the file cannot be read.
    """
    path = data / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Marks)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise CallboardError(_CODE, f"{path} cannot be read ({error}), so nobody knows what should be there") from None


def write(data: Path, marks: Marks) -> None:
    """Replace the file in one step, on disk when this returns.

    :raises OSError: it cannot be written; the marks before it stay.
    """
    draft = data / f"{FILE}.{os.getpid()}"
    try:
        with draft.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(marks)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(data / FILE)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(data, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def losses(marks: Marks, found: Mapping[str, Mark]) -> list[str]:
    """Return what is gone for certain, a sentence for each stream. Pure."""
    told = ((name, _loss(name, mark, found.get(name), marks)) for name, mark in sorted(marks.streams.items()))
    return [f"{name} {what}" for name, what in told if what]


def _loss(name: str, mark: Mark, now: Mark | None, marks: Marks) -> str:
    if now is None:
        return f"is missing, with {mark.messages:,} messages up to {mark.last_seq:,}" if mark.last_seq else ""
    if now.last_seq < mark.last_seq:
        gone = mark.last_seq - now.last_seq
        return f"ends at {now.last_seq:,} and had reached {mark.last_seq:,}: the last {gone:,} are gone"
    short = _short(name, mark, now)
    return (
        f"holds {now.messages:,} messages, {short:,} fewer than when it was stopped" if short and marks.orderly else ""
    )


def _short(name: str, mark: Mark, now: Mark) -> int:
    """Return how many messages a stream holds less than it should if nothing was purged since its mark."""
    if not name.startswith(_KEPT):
        return 0
    return max(0, mark.messages + now.last_seq - mark.last_seq - now.messages)


async def verify(bus: Bus, data: Path, *, accept_loss: bool = False) -> Marks:
    """Compare the streams with their marks and return the marks to go on from: those that were, or what is there.

    :raises CallboardError: `journal_went_back`, with every stream that lost something; not when that is accepted.
    """
    found = await _found(bus)
    try:
        marks = read(data) or Marks()
        gone = losses(marks, found)
    except CallboardError as error:
        marks, gone = Marks(), [error.detail]
    if gone and not accept_loss:
        raise CallboardError(_CODE, "; ".join(gone))
    if gone:
        log.warning("goes on without what was lost; new records take its numbers", lost=gone)
        return Marks(streams=found)
    if doubtful := {
        name: short
        for name, mark in marks.streams.items()
        if name in found and (short := _short(name, mark, found[name]))
    }:
        log.warning("messages are missing that nobody purged, unless a purge ran at the crash", missing=doubtful)
    return msgspec.structs.replace(marks, orderly=False)


async def _found(bus: Bus) -> dict[str, Mark]:
    """Return what our streams have reached.

    :raises BusError: the broker does not say.
    """
    found: dict[str, Mark] = {}
    offset = 0
    while True:
        page = msgspec.convert(await bus.api("STREAM.LIST", {"offset": offset}), _Page)
        streams = page.streams or []
        found |= {s.config.name: Mark(s.state.last_seq, s.state.messages) for s in streams if s.config.name in _OURS}
        offset += len(streams)
        if not streams or offset >= page.total:
            return found


@asynccontextmanager
async def keeping(url: str, data: Path, *, accept_loss: bool = False, alone: bool = True) -> AsyncIterator[None]:
    """Refuse a store that went back; else keep its marks until the block ends.

    :param url: the broker's, with the operator's credentials. :param alone: nobody publishes any more when the block
    ends, so that the last marks are exact.

    :raises CallboardError: `journal_went_back`. :raises BusError: the broker does not answer at first.
    """
    async with await Bus.connect(url, name="operator") as bus:
        keeper = Keeper(bus, data, await verify(bus, data, accept_loss=accept_loss))
        await keeper.write()
        task = asyncio.create_task(keeper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await keeper.last(orderly=alone)


class Keeper:
    """Writes the marks as they rise. What it cannot write or read now it does a second later: they are only lower."""

    def __init__(self, bus: Bus, data: Path, marks: Marks) -> None:
        self._bus = bus
        self._data = data
        self._marks = marks

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            with contextlib.suppress(BusError):  # it is told wherever somebody waits for the broker
                await self._look()

    async def last(self, *, orderly: bool) -> None:
        """Look once more, if the broker still runs. Never raises."""
        if not self._bus.connected:
            return
        with contextlib.suppress(BusError):
            await self._look(orderly=orderly)

    async def _look(self, *, orderly: bool = False) -> None:
        found = await _found(self._bus)
        before = self._marks.streams
        back = [name for name, mark in before.items() if name not in found or found[name].last_seq < mark.last_seq]
        if back:
            log.error("streams went back while the broker ran; their marks stay", streams=back)
        kept = {name: before[name] for name in back}
        if found | kept != before or orderly:
            self._marks = Marks(streams=found | kept, orderly=orderly and not back)
            await self.write()

    async def write(self) -> None:
        """Write the marks. Never raises: a full disk must not end what runs."""
        self._marks = msgspec.structs.replace(self._marks, written_ms=time.time_ns() // 1_000_000)
        try:
            await asyncio.shield(asyncio.to_thread(write, self._data, self._marks))
        except OSError as error:
            log.warning("marks not written", folder=str(self._data), reason=str(error))
