"""Follows the stream MEMORY into the tables: reads on from their position, a page at a time, and commits in batches.

The position is written after the rows, and a message says all of its subject, so folding it twice changes nothing.
"""

import asyncio
from collections.abc import Sequence

import structlog

from callboard import crash
from callboard.bus import Bus, BusError, Delivery, layout, reader
from callboard.bus.streams import described
from callboard_contracts import subjects
from callboard_services.memory.changes import Changes
from callboard_services.memory.folding import folded, quarantined
from callboard_services.memory.progress import Progress
from callboard_services.memory.tables import DamagedError, Tables

log = structlog.get_logger()

_EVERY = "cb.>"
_PAGE = 1024
_PAGE_BYTES = 4 * 1024 * 1024
_BATCH = 1024
_BUSY_S = 0.1
_IDLE_S = 0.25
_RETRY_S = 1.0
_LOOK_S = 1.0


class Follower(Progress):
    """The stream's way into the tables."""

    def __init__(self, bus: Bus, tables: Tables) -> None:
        super().__init__()
        self.last = 0
        """The stream's last sequence, as it was last looked up."""
        self.hidden: dict[str, set[str]] = {}
        """Of each tenant, the sources in quarantine."""
        self._bus = bus
        self._tables = tables
        self._created = ""

    async def start(self) -> None:
        """Open the tables as soon as anything is remembered, or somebody asks: what they need takes seconds to load.

        :raises BusError: the broker does not answer. :raises OSError: the folder cannot be written.
        """
        self._created, self.last = await described(self._bus, layout.MEMORY)
        while not (self.last or self._asked):
            await self._pause(_IDLE_S)
            self._created, self.last = await described(self._bus, layout.MEMORY)
        position = await self._tables.open(self._created, self.last)
        self.hidden = await quarantined(self._bus)
        self._doubt = None
        self.opened = True
        await self._move(position)

    async def run(self) -> None:
        """Follow until cancelled.

        :raises DamagedError: the tables, or the stream, are not what was folded: start again.
        """
        self._bus.on_reconnect.append(self._wake)
        try:
            async with reader.Pages(self._bus, layout.MEMORY, _EVERY, batch=_PAGE, most_bytes=_PAGE_BYTES) as pages:
                while True:
                    await self._pause(await self._read_on(pages))
        finally:
            self.opened = False
            self._bus.on_reconnect.remove(self._wake)

    async def caught_up(self, tenant: str, within_s: float, *, reads: bool = False, kinds: Sequence[str] = ()) -> bool:
        """Wait until the tables hold all that a tenant remembers by now, whoever wrote it; or also all that was read.

        :param kinds: of these alone, and what is hidden: who asks for one kind need not wait for another.
        :raises NoAnswer: the broker does not say.
        """
        wheres = [subjects.memory(tenant, kind, ">") for kind in (*kinds, "quarantine")] if kinds else []
        wheres = wheres or [f"cb.{tenant}.>" if reads else subjects.memory(tenant, ">")]
        found = await asyncio.gather(*(reader.last(self._bus, layout.MEMORY, where) for where in wheres))
        return await self.reached(max((one.seq for one in found if one), default=0), within_s)

    async def _read_on(self, pages: reader.Pages) -> float:
        """Fold a page, and return how long to wait before the next. What fails is read again from the position."""
        self._hurry.clear()
        try:
            await self._look()
            found, more = await pages.read(self.position + 1)
            for start in range(0, len(found), _BATCH):
                await self._commit(found[start : start + _BATCH])
        except (BusError, OSError) as error:
            log.warning("memory waits", reason=str(error)[:300])
            self._look_at = 0.0
            await asyncio.sleep(_RETRY_S)
            return 0.0
        return 0.0 if more else _BUSY_S if found else _IDLE_S

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        await self._check()
        created, self.last = await described(self._bus, layout.MEMORY)
        if created != self._created or self.last < self.position:
            raise DamagedError("the stream is not the one that was folded")
        if not self._tables.intact():
            raise DamagedError(f"{self._tables.root} was deleted")
        self._look_at = now + _LOOK_S

    async def _check(self) -> None:
        """Look at everything when something could not be read.

        :raises DamagedError: it is damaged, or somebody wants it anew.
        """
        doubt = self._doubt
        if isinstance(doubt, DamagedError):
            raise doubt
        if doubt is not None:
            log.warning("memory checks its tables", reason=str(doubt)[:300])
            await self._tables.check()
            self._doubt = None
            await self._move(self.position)

    async def _commit(self, batch: list[Delivery]) -> None:
        async for changes, seq in folded(self._bus, batch):
            for tenant, change in changes.items():
                self._hide(tenant, change)
            crash.point("memory.before_commit")
            await self._tables.commit(changes, seq)
            crash.point("memory.after_commit")
            await self._move(seq)

    def _hide(self, tenant: str, change: Changes) -> None:
        hidden = self.hidden.setdefault(tenant, set())
        for source, hide in change.quarantine.items():
            hidden.add(source) if hide else hidden.discard(source)
