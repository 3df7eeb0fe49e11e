"""One tenant's tables in LanceDB, and the vectors of its rows in memory. Nothing in it knows of another tenant.

One writer: what `apply` loses to `tidy` it does again. A reader sees one version of a table, before or after.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from callboard.tasks import finished
from callboard_services.memory import schema
from callboard_services.memory.arrow import as_table
from callboard_services.memory.changes import Changes
from callboard_services.memory.query import texts
from callboard_services.memory.reading import Reading, slices
from callboard_services.memory.rows import Row

T = TypeVar("T")

BESIDE = ("id", "audience", "kind", "at_ms", "vector")
"""What is kept in memory of each row."""
_TRIES = 10
"""How often a commit is tried that is lost to tidying, which rewrites what it changes."""
_FEW = 200
"""So many changed rows are worth tidying, or one in a hundred where there are more."""
_ROWS_PER_S = 10_000
"""How many rows make a second of the quiet after which fewer changes are worth it as well."""


class Table(Reading):
    """A tenant's rows and who read them. Open it with `opened`."""

    def __init__(self, rows: Any, reads: Any, dimensions: int, embedder: str) -> None:
        super().__init__(rows, reads, dimensions)
        self._embedder = embedder
        self._pending = 0
        """How many rows changed since the indices were brought up to date."""
        self._changed_at = 0.0
        self._cleaned_at = 0.0
        self._writing = asyncio.Lock()

    @property
    def untidy(self) -> bool:
        """Whether the indices are behind the rows."""
        return self._pending > 0

    async def apply(self, changes: Changes) -> None:
        """Commit what a batch changes. Doing it again changes nothing."""
        async with self._writing:
            for tries in range(_TRIES, 0, -1):
                try:
                    await finished(self._apply(changes))
                    return
                except RuntimeError as error:  # the tables were being tidied, and were first
                    if tries == 1 or not _conflicts(error):
                        raise

    async def _apply(self, changes: Changes) -> None:
        gone = {id_ for id_ in changes.gone if id_ in self.vectors} - changes.rows.keys()
        documents = (changes.gone | changes.replaced.keys()) - gone
        if documents:
            gone |= {id_ for id_ in await self._chunks(documents) if id_ not in changes.rows}
        for some in slices(sorted(gone)):
            await self.rows.delete(f"id IN ({texts(some)})")
        if changes.rows:
            await self._upsert(list(changes.rows.values()))
        if changes.reads:
            await self._note(changes.reads)
        self.vectors.drop(gone)
        self._pending += len(gone) + len(changes.rows)
        self._changed_at = time.monotonic()

    async def _chunks(self, documents: Collection[str]) -> list[str]:
        found = self.rows.query().where(f"document IN ({texts(sorted(documents))})").select(["id"])
        return [str(row["id"]) for row in await found.to_list()]

    async def _upsert(self, rows: list[Row]) -> None:
        known = any(row["id"] in self.vectors for row in rows)
        data = await asyncio.to_thread(as_table, rows, self.vectors.dimensions, self._embedder)
        if known:
            merge = self.rows.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            await merge.execute(data)
        else:
            await self.rows.add(data)
        self.remember(data.select(list(BESIDE)))

    def remember(self, data: Any) -> None:
        """Keep the vectors of rows in memory."""
        exact = data["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        each = exact.reshape(-1, self.vectors.dimensions)
        columns = (data[name].to_pylist() for name in BESIDE[:-1])
        for id_, audience, kind, at_ms, found in zip(*columns, each, strict=True):
            self.vectors.put(id_, audience, kind, at_ms, found)

    async def _note(self, reads: list[Row]) -> None:
        import pyarrow as pa

        data = pa.Table.from_pylist(reads, schema=schema.reads())
        await self.reads.merge_insert("call").when_matched_update_all().when_not_matched_insert_all().execute(data)

    async def tidy(self, keep: timedelta) -> None:
        """Bring every index up to date, compact, and remove the versions that nobody reads any more.

        Only after this is the text of a forgotten row gone from the folder.
        """
        began, before = time.monotonic(), self._pending
        try:
            await self.index(schema.INDEXED)
            for table in (self.rows, self.reads):
                await finished(table.optimize(cleanup_older_than=keep))
        except RuntimeError as error:
            if not _conflicts(error):
                raise
        else:
            self._pending, self._cleaned_at = self._pending - before, began

    async def index(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Make the indices that are missing."""
        for name, columns in wanted.items():
            table = self.rows if name == "rows" else self.reads
            there = {column for index in await table.list_indices() for column in index.columns}
            for column in columns:
                if column not in there:
                    await finished(table.create_index(column, config=schema.index(column)))

    def wants_tidying(self, keep: timedelta) -> bool:
        """Tell whether it is time: many rows changed, or none for a while, or a version is there that nobody needs.

        The more rows there are, the longer it takes, and the more must have changed.
        """
        quiet_s = time.monotonic() - self._changed_at
        if self._pending:
            return self._pending >= max(_FEW, len(self.vectors) // 100) or quiet_s > len(self.vectors) / _ROWS_PER_S
        return self._changed_at > 0 and self._cleaned_at < self._changed_at + keep.total_seconds() <= time.monotonic()


def _conflicts(error: RuntimeError) -> bool:
    """Tell whether a commit was lost to another one, and may be tried again."""
    return "conflict" in str(error).lower()
