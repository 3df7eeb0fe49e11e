"""Signs every journal: soon after a tree closes, at a schedule for what goes on, and at once when somebody asks."""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

import structlog

from callboard.audit.signing import Signer, signer
from callboard.bus import Bus, BusError, layout, reader
from callboard.bus.streams import described
from callboard_contracts import names, subjects, wire
from callboard_contracts.audit import Checkpoint
from callboard_contracts.errors import CallboardError
from callboard_services.ledger.audit.index import FILE, Index
from callboard_services.ledger.audit.journal import SignedJournal
from callboard_services.ledger.audit.pending import MOST
from callboard_services.ledger.follow import Follower

log = structlog.get_logger()

SOON_S = 10.0
"""After a tree closed its records are signed within so long, many trees at once."""
EVERY_S = 600.0
"""What goes on is signed this often, while it moves."""
_ROUND_S = 1.0
_PATIENCE_S = 4.0
"""How long a question waits for a ledger that has just started."""
_ALL = subjects.audit("*", names.EVERYBODY)


class Auditor:
    """The checkpoints of all journals. `run` it; without a key it does nothing, and says so when it is asked."""

    def __init__(self, bus: Bus, data: Path, followers: dict[str, Follower], created: dict[str, str]) -> None:
        self.journals = {stream: SignedJournal(bus, stream, made) for stream, made in created.items()}
        self.signer: Signer | None = None
        self.problem = "the ledger has not read its checkpoints yet"
        """Why nothing can be signed; empty: it can."""
        self.bus = bus
        self.followers = followers
        self._data = data
        self._index: Index | None = None
        self._created = ""
        self._busy = asyncio.Lock()
        self._settled = asyncio.Event()
        """It is known whether anything can be signed."""
        for stream, follower in followers.items():
            follower.watch = self.journals[stream].pending.see

    async def run(self) -> None:
        """Sign until cancelled. What fails is tried again a moment later."""
        try:
            self.signer = await asyncio.to_thread(signer, self._data)
        except (ImportError, CallboardError, OSError) as error:
            self.problem = f"nothing is signed: {error}"
            log.warning(self.problem)
            self._settled.set()
            await asyncio.Event().wait()  # for nothing: it is cancelled
        while True:
            try:
                await self._start()
                break
            except (BusError, sqlite3.Error, ValueError) as error:
                log.warning("the audit waits", reason=str(error))
                await asyncio.sleep(_ROUND_S)
        self.problem = ""
        self._settled.set()
        while True:
            await self._round()
            await asyncio.sleep(_ROUND_S)

    async def _start(self) -> None:
        if self._index is None:
            self._index = await asyncio.to_thread(Index, self._data / FILE)
        self._created, _ = await described(self.bus, layout.AUDIT)
        for stream, journal in self.journals.items():
            _, last = await described(self.bus, stream)
            await journal.start(self.followers[stream].position, last)
        async with self._busy:
            await self._read_on(self._index)

    async def close(self) -> None:
        """Close the index."""
        if self._index is not None:
            async with self._busy:
                await asyncio.to_thread(self._index.close)

    async def _round(self) -> None:
        for journal in self.journals.values():
            if not _is_due(journal):
                continue
            try:
                await self.sign(journal)
            except (BusError, sqlite3.Error) as error:
                log.warning("not signed yet", stream=journal.stream, reason=str(error))

    async def sign(self, journal: SignedJournal) -> None:
        """Sign all that is pending of a journal.

        :raises BusError: not all of it is; try again.
        """
        async with self._busy:
            while self.signer is not None and len(journal.pending):
                if await journal.make(self.signer):
                    log.debug("signed", stream=journal.stream, last=journal.pending.signed)

    async def key(self) -> Signer:
        """Return the key, once all is read that it signed.

        :raises CallboardError: `unavailable`, there is none, or reading takes long.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._settled.wait()
        if self.signer is None or self.problem:
            raise CallboardError("unavailable", self.problem)
        return self.signer

    async def index(self) -> Index:
        """Return the index, with every checkpoint in it that is stored.

        :raises CallboardError: `unavailable`. :raises BusError: the broker does not answer.
        """
        await self.key()
        if self._index is None:
            raise CallboardError("unavailable", "the ledger has not read its checkpoints yet")
        async with self._busy:
            await self._read_on(self._index)
            return self._index

    async def _read_on(self, index: Index) -> None:
        position = await asyncio.to_thread(index.position, self._created)
        async for found in reader.scan(self.bus, layout.AUDIT, _ALL, position + 1):
            await asyncio.to_thread(index.enter, found.seq, wire.decode(found.body, Checkpoint))


def _is_due(journal: SignedJournal) -> bool:
    if not journal.caught_up or not len(journal.pending):
        return False
    since_s = time.monotonic() - journal.made_at
    return since_s >= (SOON_S if journal.pending.closed else EVERY_S) or len(journal.pending) >= MOST
