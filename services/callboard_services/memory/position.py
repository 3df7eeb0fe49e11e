"""How far the stream is folded, kept beside the tables and written after them."""

import contextlib
import time
from datetime import timedelta
from typing import Any, Final

import msgspec

from callboard_services.memory import schema
from callboard_services.memory.lance import FAILURES, POSITION, connected

STALE: Final = timedelta(days=15)
"""Tables that were left alone for so long may have missed that something was forgotten."""


class Position:
    """One row: which stream, how far, by which embedder, in which format, and which version each tenant's rows had."""

    def __init__(self, root: str, embedder: str) -> None:
        self.versions: dict[str, int] = {}
        self._root = root
        self._embedder = embedder
        self._created = ""
        self._table: Any = None

    async def read(self, created: str, last: int) -> tuple[int, str]:
        """Return how far a stream is folded, and why the tables cannot be used, empty when they can.

        :param created: when the stream was made. :param last: its last sequence.
        """
        self._created = created
        try:
            self._table = await (await connected(self._root)).open_table(POSITION)
            rows = await self._table.query().to_list()
        except FAILURES:
            return 0, "it has no tables yet"
        if not rows:
            return 0, "it was not folded before"
        self.versions = msgspec.json.decode(rows[0]["versions"])
        return rows[0]["seq"], self._unusable(rows[0], last)

    def _unusable(self, found: dict[str, Any], last: int) -> str:
        if found["created"] != self._created or found["seq"] > last:
            return "the stream is another one"
        if (found["embedder"], found["format"]) != (self._embedder, schema.FORMAT):
            return f"it was made with {found['embedder']}, in format {found['format']}"
        if time.time() * 1000 - found["at_ms"] > STALE.total_seconds() * 1000:
            return "it was left alone for too long"
        return ""

    async def create(self) -> None:
        """Begin anew, with nothing folded."""
        self.versions = {}
        database = await connected(self._root)
        self._table = await database.create_table(POSITION, schema=schema.position(), mode="overwrite")

    async def write(self, seq: int) -> None:
        """Remember how far the stream is folded now."""
        row = {"created": self._created, "embedder": self._embedder, "format": schema.FORMAT, "seq": seq}
        row |= {"at_ms": int(time.time() * 1000), "versions": msgspec.json.encode(self.versions).decode()}
        await self._table.add([row], mode="overwrite")

    async def tidy(self, keep: timedelta) -> None:
        """Remove what it was before."""
        with contextlib.suppress(*FAILURES):
            await self._table.optimize(cleanup_older_than=keep)
