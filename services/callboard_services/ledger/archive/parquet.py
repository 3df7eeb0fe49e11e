"""Archive files: written under another name, read back, renamed. A file that has its name is whole, now and later.

Its rows are a tree's messages in the order of their stream, one tree after the other; which rows are whose is in the
file's own metadata, so that files are all that is needed to find everything again.
"""

import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from callboard_services.ledger.archive.columns import WORDS, columns, crc_of, schema
from callboard_services.ledger.archive.message import Message

GROUP_ROWS: Final = 4096
GROUP_BYTES: Final = 4 * 1024 * 1024
"""A row group is written when it has so many rows or bytes: what is in memory at once, writing or reading."""
_PART: Final = ".part"
_TREES: Final = b"callboard.trees"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tree is in a file."""

    tenant: str
    tree: str
    stream: str
    created: str
    """When that stream was made, which tells it from another of its name."""
    row: int
    rows: int
    last_seq: int
    purges: dict[str, int]
    """What leaves the journal: groups of subjects, each up to a sequence."""


class DamagedError(ValueError):
    """A file does not hold what was written to it. It is not used, and nothing is purged for it."""


class Writer:
    """One file on its way. Its methods block, `add` excepted; who is cancelled may call `discard` meanwhile."""

    def __init__(self, folder: Path) -> None:
        import pyarrow.parquet as pq

        folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns() // 1_000_000:013d}-{secrets.token_hex(4)}.parquet"
        self.path = folder / name
        self._part = folder / f".{name}{_PART}"
        self._schema = schema()
        self._file = pq.ParquetWriter(self._part, self._schema, compression="zstd", use_dictionary=list(WORDS))
        self._busy = threading.RLock()
        self._group: list[Message] = []
        self._group_bytes = 0
        self._crc = 0
        self.rows = 0
        self.bytes = 0

    @property
    def full(self) -> bool:
        """Whether a row group should be written."""
        return len(self._group) >= GROUP_ROWS or self._group_bytes >= GROUP_BYTES

    def add(self, message: Message) -> None:
        """Take a message, to be written with its row group."""
        self._group.append(message)
        self._group_bytes += len(message.body)
        self.bytes += len(message.body)
        self.rows += 1

    def write(self) -> None:
        """Write a row group of what was taken."""
        import pyarrow as pa

        with self._busy:
            taken, self._group, self._group_bytes = self._group, [], 0
            if taken:
                table = pa.Table.from_pydict(columns(taken), schema=self._schema)
                self._crc = crc_of(table, self._crc)
                self._file.write_table(table)

    def finish(self, written: list[Entry]) -> Path:
        """Write the rest, read everything back, and give the file its name.

        :raises DamagedError: what was read is not what was written.
        """
        with self._busy:
            self.write()
            self._file.add_key_value_metadata({_TREES: msgspec.json.encode(written)})
            self._file.close()
            _sync(self._part)
            self._check(written)
            self._part.rename(self.path)
            _sync(self.path.parent)
        return self.path

    def _check(self, written: list[Entry]) -> None:
        crc = 0
        with opened(self._part) as file:
            for group in range(file.num_row_groups):
                crc = crc_of(file.read_row_group(group), crc)
            if file.metadata.num_rows != self.rows or crc != self._crc or entries(file) != written:
                raise DamagedError(f"{self._part} was not written as it should")

    def discard(self) -> None:
        """Forget it, if it has no name yet."""
        with self._busy:
            self._file.close()
            self._part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def opened(path: Path) -> Any:
    """Open a file, as a context manager.

    :raises OSError: it cannot be read. :raises ValueError: it is no Parquet file.
    """
    import pyarrow.parquet as pq

    return pq.ParquetFile(path)


def entries(file: Any) -> list[Entry]:
    """Return which trees an open file holds.

    :raises DamagedError: it does not say.
    """
    found = (file.metadata.metadata or {}).get(_TREES)
    if found is None:
        raise DamagedError("it has no table of its trees")
    return msgspec.json.decode(found, type=list[Entry])
