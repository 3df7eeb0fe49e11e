"""All tables: a LanceDB database for each tenant in a folder (or under a URI), and how far the stream is folded.

They are a projection. Whatever is missing, damaged, of another stream, of another embedder or of another format is
thrown away as a whole and folded anew; what is here is never repaired.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import structlog

from callboard.tasks import finished
from callboard_contracts import names
from callboard_services.memory import schema
from callboard_services.memory.arrow import whole
from callboard_services.memory.changes import Changes
from callboard_services.memory.lance import FAILURES, MARK, connected, emptied
from callboard_services.memory.position import Position
from callboard_services.memory.table import BESIDE, Table

log = structlog.get_logger()


class DamagedError(Exception):
    """The tables cannot be used any more: fold them anew."""


class Tables:
    """The tables of every tenant.

    :param root: a folder, or a URI that LanceDB knows. :param embedder: what makes the vectors.
    """

    def __init__(self, root: str, embedder: str, dimensions: int) -> None:
        self.root = root
        self._folder = None if "://" in root else Path(root)
        self._embedder = embedder
        self._dimensions = dimensions
        self._position = Position(root, embedder)
        self._tenants: dict[str, asyncio.Task[Table]] = {}
        self.damaged = False
        """Set it to have everything thrown away when it is opened next."""

    async def open(self, created: str, last: int) -> int:
        """Return how far the stream that was made at `created` is folded; 0 when the tables must be built anew.

        :raises OSError: the folder cannot be written.
        """
        seq, reason = await self._position.read(created, last)
        if self.damaged or not self.intact():
            reason = reason or "its tables are damaged"
        if not reason:
            return seq
        log.info("memory is folded anew", folder=self.root, reason=reason)
        await self._wipe()
        return 0

    def intact(self) -> bool:
        """Tell whether the folder is still there. Somebody may delete it at any time."""
        return self._folder is None or (self._folder / MARK).exists()

    async def _wipe(self) -> None:
        self.damaged = True
        opening, self._tenants = list(self._tenants.values()), {}
        await asyncio.gather(*opening, return_exceptions=True)
        if self._folder is not None:
            await asyncio.to_thread(emptied, self._folder)
        else:
            await self._drop_all()
        await self._position.create()
        self.damaged = False

    async def _drop_all(self) -> None:
        for tenant in self._position.versions:
            await (await connected(self._uri(tenant))).drop_all_tables()

    async def of(self, tenant: str) -> Table:
        """Return a tenant's tables, opening or making them.

        :raises ValueError: it is no tenant. :raises DamagedError: they are not as they were left.
        """
        if not names.is_tenant(tenant):
            raise ValueError(f"{tenant!r} is no tenant")
        if tenant not in self._tenants:
            self._tenants[tenant] = asyncio.create_task(self._open_tenant(tenant))
        try:
            return await asyncio.shield(self._tenants[tenant])
        except FAILURES as error:
            self._tenants.pop(tenant, None)
            raise DamagedError(f"the tables of {tenant} cannot be opened: {error}") from error

    def _uri(self, tenant: str) -> str:
        return f"{self.root.rstrip('/')}/{tenant}"

    async def _open_tenant(self, tenant: str) -> Table:
        database = await connected(self._uri(tenant))
        rows = await database.create_table("rows", schema=schema.rows(self._dimensions), exist_ok=True)
        reads = await database.create_table("reads", schema=schema.reads(), exist_ok=True)
        version = await rows.version()
        if version < (before := self._position.versions.get(tenant, 0)):
            raise RuntimeError(f"they are at version {version}, and were at {before}")
        table = Table(rows, reads, self._dimensions, self._embedder)
        async for batch in await rows.query().select(list(BESIDE)).to_batches():
            table.remember(whole(batch))
        await table.index(schema.SEARCHED)
        return table

    async def commit(self, changes: Mapping[str, Changes], seq: int) -> None:
        """Commit what a batch changes, then the position after it.

        :raises DamagedError: they cannot be written any more. :raises OSError: the disk is full.
        """
        try:
            for tenant, of_tenant in changes.items():
                table = await self.of(tenant)
                await table.apply(of_tenant)
                self._position.versions[tenant] = await table.rows.version()
            await finished(self._position.write(seq))
        except FAILURES as error:
            if "No space left" in str(error):
                raise OSError(str(error)) from None
            raise DamagedError(str(error)) from error
        if not self.intact():
            raise DamagedError(f"{self.root} was deleted")

    async def check(self) -> None:
        """Read everything once.

        :raises DamagedError: it cannot be read.
        """
        for tenant in list(self._tenants):
            table = await self.of(tenant)
            try:
                await table.matching("callboard", "true", 1)
                async for _ in await table.rows.query().select(["id", "text", "sources"]).to_batches():
                    pass
                await table.reads.count_rows("at_ms > 0")
            except FAILURES as error:
                raise DamagedError(f"the tables of {tenant}: {error}") from error

    async def tidy(self, keep: timedelta) -> None:
        """Bring the indices of whatever changed up to date, and remove old versions."""
        tidied = False
        for opening in list(self._tenants.values()):
            if opening.done() and not opening.exception() and (table := opening.result()).wants_tidying(keep):
                await table.tidy(keep)
                tidied = True
        if tidied:
            await self._position.tidy(keep)
