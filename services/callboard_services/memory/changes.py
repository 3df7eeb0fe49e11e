"""What a batch of messages changes, by tenant: pure, and idempotent, because each message says all of its subject."""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from callboard_contracts import memory
from callboard_services.memory import rows
from callboard_services.memory.rows import Row


class Changes(msgspec.Struct):
    """What one tenant's tables are to hold after a batch. A later message of the batch wins over an earlier one."""

    rows: dict[str, Row] = {}
    """By id, what is new or replaced."""
    gone: set[str] = set()
    """Ids of rows and of documents that are no more."""
    replaced: dict[str, int] = {}
    """Documents that have so many chunks now: what they had beyond is no more."""
    reads: list[Row] = []
    quarantine: dict[str, bool] = {}
    """Sources that are hidden from now on, or shown again."""

    def take(self, item: memory.Item, chunks: Sequence[memory.Chunk], seq: int) -> None:
        """Fold one message; `chunks` are those of a document, wherever they were stored."""
        match item:
            case memory.Remembered():
                self.rows[item.id] = rows.of_text(item, seq)
                self.gone.discard(item.id)
            case memory.Ingested():
                found = {row["id"]: row for row in rows.of_document(item, tuple(chunks), seq)}
                self._without(item.id)
                self.rows |= found
                self.gone.discard(item.id)
                self.replaced[item.id] = len(chunks)
            case memory.Forgotten():
                self._without(item.id)
                self.gone.add(item.id)
                self.replaced.pop(item.id, None)
            case memory.Quarantined():
                self.quarantine[item.source] = True
            case memory.Released():
                self.quarantine[item.source] = False
            case _:
                assert_never(item)

    def read(self, said: memory.Read, seq: int) -> None:
        """Fold what a call was shown."""
        self.reads.append(msgspec.structs.asdict(said) | {"seq": seq})

    def _without(self, id: str) -> None:  # noqa: A002 - as it is called everywhere
        self.rows = {key: row for key, row in self.rows.items() if id not in (key, row["document"])}
