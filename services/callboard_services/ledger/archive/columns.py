"""The columns of an archive file, and messages as columns."""

import zlib
from typing import Any, Final

import msgspec

from callboard_services.ledger.archive.message import Message

WORDS: Final = ("stream", "tenant", "tree", "run", "actor", "lane", "kind")
"""Columns with few different values: the stream, and the tokens of the subject."""
NUMBERS: Final = ("seq", "time_ms")


def schema() -> Any:
    """Return the columns of an archive file: their names and types are for ever."""
    import pyarrow as pa

    numbers = [(name, pa.int64()) for name in NUMBERS]
    words = [(name, pa.string()) for name in (*WORDS, "subject", "headers")]
    return pa.schema([*numbers, *words, ("body", pa.binary())])


def columns(messages: list[Message]) -> dict[str, list[Any]]:
    """Return messages as the columns of a table."""
    tokens = [message.tokens for message in messages]
    found: dict[str, list[Any]] = {name: [getattr(m, name) for m in messages] for name in (*NUMBERS, "stream")}
    for name, token in (("tenant", 1), ("actor", 2), ("tree", 4), ("run", 5), ("lane", 6), ("kind", 7)):
        found[name] = [each[token] for each in tokens]
    found["subject"] = [message.subject for message in messages]
    found["headers"] = [msgspec.json.encode(message.headers).decode() for message in messages]
    return found | {"body": [message.body for message in messages]}


def crc_of(table: Any, crc: int) -> int:
    """Return the checksum of a table's rows after those of the tables before it."""
    for row in table.select(["seq", "subject", "headers", "body"]).to_pylist():
        crc = zlib.crc32(f"{row['seq']} {row['subject']} {row['headers']}".encode(), crc)
        crc = zlib.crc32(row["body"], crc)
    return crc
