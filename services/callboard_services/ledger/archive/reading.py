"""Reading archive files: what is in them, a page of one tree, every message in order. Blocks; memory is a row group."""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from callboard_services.ledger.archive.message import Message
from callboard_services.ledger.archive.parquet import Entry, entries, opened

_COLUMNS = ["stream", "seq", "time_ms", "subject", "headers", "body"]


def files(folder: Path) -> list[Path]:
    """Return every archive file, the oldest first."""
    return sorted(folder.glob("*.parquet"))


def trees(path: Path) -> list[Entry]:
    """Return which trees a file holds.

    :raises OSError: it cannot be read. :raises ValueError: it is damaged, or no archive.
    """
    with opened(path) as file:
        return entries(file)


def everything(path: Path) -> Iterator[list[Message]]:
    """Yield all messages of a file, a row group at a time."""
    with opened(path) as file:
        for group in range(file.num_row_groups):
            yield _messages(file.read_row_group(group, columns=_COLUMNS))


def page(path: Path, where: Entry, after: int, *, most: int, most_bytes: int) -> tuple[list[Message], bool]:
    """Return messages of a tree after a sequence, as many as fit, and whether more follow.

    :raises OSError: it cannot be read. :raises ValueError: it is damaged.
    """
    with opened(path) as file:
        groups = _groups(file, where)
        seqs = [seq for group, span in groups for seq in _numbers(file, group, span)]
        wanted = len(seqs) - bisect_right(seqs, after)
        found: list[Message] = []
        size = 0
        for message in _from(file, groups, len(seqs) - wanted):
            size += cost(message)
            if found and (size > most_bytes or len(found) == most):
                break
            found.append(message)
    return found, len(found) < wanted


def cost(message: Message) -> int:
    """Return about how many bytes a message takes in an answer: its body in base64, its headers, its names."""
    return len(message.body) * 4 // 3 + sum(len(k) + len(v) + 8 for k, v in message.headers.items()) + 256


def _groups(file: Any, where: Entry) -> list[tuple[int, range]]:
    """Return the row groups that hold a tree, each with which of its rows."""
    found, start = [], 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        first, end = max(where.row - start, 0), min(where.row + where.rows - start, rows)
        if first < end:
            found.append((group, range(first, end)))
        start += rows
    return found


def _numbers(file: Any, group: int, span: range) -> list[int]:
    column = file.read_row_group(group, columns=["seq"]).column("seq")
    seqs: list[int] = column.slice(span.start, len(span)).to_pylist()
    return seqs


def _from(file: Any, groups: list[tuple[int, range]], skipped: int) -> Iterator[Message]:
    for group, span in groups:
        if skipped >= len(span):
            skipped -= len(span)
            continue
        table = file.read_row_group(group, columns=_COLUMNS)
        yield from _messages(table.slice(span.start + skipped, len(span) - skipped))
        skipped = 0


def _messages(table: Any) -> list[Message]:
    columns = [table.column(name).to_pylist() for name in _COLUMNS]
    return [
        Message(stream, seq, time_ms, subject, msgspec.json.decode(headers, type=dict[str, str]), body)
        for stream, seq, time_ms, subject, headers, body in zip(*columns, strict=True)
    ]
