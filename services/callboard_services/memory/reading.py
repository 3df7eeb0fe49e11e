"""What is read of a tenant's tables. A reader sees one version of a table, before or after a commit."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from callboard_services.memory import schema
from callboard_services.memory.arrow import by_source
from callboard_services.memory.hits import Hit, Row
from callboard_services.memory.query import texts
from callboard_services.memory.vectors import Vectors

_AT_ONCE: Final = 500
"""How many ids one filter names."""


class Reading:
    """A tenant's rows, who read them, and the rows' vectors in memory."""

    def __init__(self, rows: Any, reads: Any, dimensions: int) -> None:
        self.rows = rows
        self.reads = reads
        self.vectors = Vectors(dimensions)

    async def fetch(self, ids: Sequence[str], where: str = "true") -> dict[str, Row]:
        """Return rows by id, without their vectors; those that the filter leaves out are not there."""
        found: dict[str, Row] = {}
        columns = [name for name in schema.rows(self.vectors.dimensions).names if name not in ("vector", "hit")]
        for some in slices(ids):
            query = self.rows.query().where(f"id IN ({texts(some)}) AND {where}").select(columns)
            found |= {row["id"]: row for row in await query.to_list()}
        return found

    async def shown(self, ids: Sequence[str], where: str) -> dict[str, Hit]:
        """Return rows by id as they are shown; those that the filter leaves out are not there."""
        found = await self.rows.query().where(f"id IN ({texts(ids)}) AND {where}").select(["id", "hit"]).to_list()
        return {row["id"]: msgspec.json.decode(row["hit"], type=Hit) for row in found}

    async def find(self, where: str, columns: Sequence[str], most: int | None = None) -> list[Row]:
        """Return some columns of the rows that a filter leaves, in no order."""
        query = self.rows.query().where(where).select(list(columns))
        found: list[Row] = await (query.limit(most) if most is not None else query).to_list()
        return found

    async def sources(self, most: int) -> list[Row]:
        """Return what rows were taken from, the newest first: of each its newest row's columns, and how many it has."""
        columns = ["source", "at_ms", "kind", "trust", "title", "document"]
        data = await self.rows.query().select(columns).to_arrow()
        return await asyncio.to_thread(by_source, data, most)

    async def matching(self, text: str, where: str, most: int) -> list[tuple[str, float]]:
        """Return the ids of rows whose text has words of another, and their BM25 scores, the best first, by id."""
        from lancedb.query import MatchQuery

        query = self.rows.query().nearest_to_text(MatchQuery(text, "text")).where(where).limit(most)
        found = await query.select(["id", "_score"]).to_list()
        return sorted(((row["id"], row["_score"]) for row in found), key=lambda one: (-one[1], one[0]))


def slices(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    """Return ids in pieces that one filter can name."""
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
