"""Rows of CSV into a file, as they come: as CSV, or as Parquet. The file has its name only when it is whole."""

import csv
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from callboard_contracts.errors import CallboardError

_TEXTS = frozenset({"tenant", "user", "skill", "agent_skill", "model", "tool", "status", "day", "tree", "run", "call"})
_GROUP = 50_000


def checked(path: Path) -> None:
    """Check that a file of that name can be written.

    :raises CallboardError: `invalid_request`.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise CallboardError("invalid_request", f"--export {path}: its name must end in .csv or .parquet")
    if not path.parent.is_dir():
        raise CallboardError("invalid_request", f"--export {path}: there is no folder {path.parent}")
    if path.suffix == ".parquet":
        try:
            import pyarrow as pa  # noqa: F401
        except ImportError:
            raise CallboardError(
                "invalid_request", f"--export {path}: Parquet needs pyarrow: pip install 'callboard[ledger]'"
            ) from None


async def write(path: Path, pieces: AsyncIterator[bytes]) -> int:
    """Write the rows, and return how many.

    :raises CallboardError: `invalid_request`, it cannot be written; what `pieces` raise.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            async for piece in pieces:
                file.write(piece)
        rows = _to_parquet(part, path) if path.suffix == ".parquet" else _named(part, path)
    except OSError as error:
        raise CallboardError("invalid_request", f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return rows


def _named(part: Path, path: Path) -> int:
    rows = sum(1 for _ in _lines(part))
    part.replace(path)
    return rows


def _lines(part: Path) -> Iterator[dict[str, Any]]:
    with part.open(newline="") as file:
        yield from csv.DictReader(file)


def _to_parquet(part: Path, path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with part.open(newline="") as file:
        names = next(csv.reader(file))
    schema = pa.schema([(name, pa.string() if name in _TEXTS else pa.int64()) for name in names])
    whole = path.with_name(f".{path.name}.whole")
    count, group = 0, []
    try:
        with pq.ParquetWriter(whole, schema, compression="zstd") as writer:
            for line in _lines(part):
                group.append({name: value if name in _TEXTS else int(value) for name, value in line.items()})
                count += 1
                if len(group) == _GROUP:
                    writer.write_table(pa.Table.from_pylist(group, schema))
                    group.clear()
            writer.write_table(pa.Table.from_pylist(group, schema))
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)
    return count
