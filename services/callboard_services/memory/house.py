"""What every part of the service is given."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from callboard.bus import Bus, layout, reader
from callboard.settings import Settings
from callboard.tasks import Tasks
from callboard_contracts import memory, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_services.memory.embedding import Embedder
from callboard_services.memory.follow import Follower
from callboard_services.memory.lance import FAILURES
from callboard_services.memory.table import Table
from callboard_services.memory.tables import DamagedError, Tables
from callboard_services.memory.who import Who
from callboard_services.memory.writer import Writer

T = TypeVar("T")

PATIENCE_S = 10.0
"""How long a question waits for the tables to hold what is remembered by now."""
_OPENING_S = 30.0
"""How long it waits for tables that are not open yet: LanceDB alone takes seconds to load."""


@dataclass
class Memory:
    """One process of the service."""

    bus: Bus
    groups: int
    settings: Settings
    embedder: Embedder
    tables: Tables
    follower: Follower
    writer: Writer
    who: Who
    tasks: Tasks = field(default_factory=Tasks)
    """What runs beside and nobody waits for."""

    rebuilding: bool = False
    embedded: int = 0
    """How many vectors the last rebuild made anew."""

    async def empty(self, tenant: str, kinds: Sequence[str] = ()) -> bool:
        """Tell whether a tenant remembers nothing at all, or nothing of these kinds, without any table.

        :raises NoAnswer: the broker does not say.
        """
        wheres = [subjects.memory(tenant, kind, ">") for kind in kinds] or [subjects.memory(tenant, ">")]
        found = await asyncio.gather(*(reader.last(self.bus, layout.MEMORY, where) for where in wheres))
        return not any(found)

    async def current(self, tenant: str, *, reads: bool = False, kinds: Sequence[str] = ()) -> Table:
        """Return a tenant's tables when they hold all that is remembered by now, and all that was read if wanted.

        :param kinds: when they hold all of these kinds; empty: of every kind.
        :raises CallboardError: `unavailable`, they are being built. :raises BusError: the broker does not answer.
        """
        within_s = PATIENCE_S if self.follower.opened else _OPENING_S
        if not await self.follower.caught_up(tenant, within_s, reads=reads, kinds=kinds):
            behind = f"{self.follower.position} of {self.follower.last} messages are folded"
            raise CallboardError("unavailable", f"memory is being built: {behind}")
        try:
            return await self.tables.of(tenant)
        except DamagedError as error:
            raise self.damaged(error) from None

    async def reading(
        self, tenant: str, work: Callable[[Table], Awaitable[T]], *, reads: bool = False, kinds: Sequence[str] = ()
    ) -> T:
        """Return what is read from a tenant's tables; when they cannot be read, from those that are built anew.

        :raises CallboardError: `unavailable`. :raises BusError: the broker does not answer.
        """
        try:
            return await work(await self.current(tenant, reads=reads, kinds=kinds))
        except FAILURES as error:
            refused = self.damaged(error)
        await self.follower.settled(PATIENCE_S)
        try:
            return await work(await self.current(tenant, reads=reads, kinds=kinds))
        except FAILURES as error:
            raise refused from error

    def damaged(self, error: Exception) -> CallboardError:
        """Have the tables checked, and built anew when they are damaged; return what to say meanwhile."""
        self.follower.doubt(error)
        return CallboardError("unavailable", f"memory's tables could not be read, and are being checked: {error}"[:300])

    def hidden(self, tenant: str) -> frozenset[str]:
        """Return the sources in quarantine."""
        return frozenset(self.follower.hidden.get(tenant, ()))

    async def read_by(self, tenant: str, tree: str) -> list[memory.Read]:
        """Return what a tree has read so far."""
        where = f"cb.{tenant}.read.{tree}.*"
        return [wire.decode(found.body, memory.Read) async for found in reader.scan(self.bus, layout.MEMORY, where)]
