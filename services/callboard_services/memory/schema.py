"""The columns of the tables, for readers of the folder as well: rows, and who read them."""

from typing import Any, Final

FORMAT: Final = 2
"""Raise it when a column changes: the tables are then folded anew."""


SEARCHED: Final = {"rows": ("text",)}
"""What cannot be asked without an index."""
INDEXED: Final = {"rows": ("text", "id", "document", "audience", "sources", "tags"), "reads": ("call", "sources")}
"""What is answered sooner with one."""


def index(column: str) -> Any:
    """Return what sort of index a column has."""
    from lancedb.index import FTS, Bitmap, BTree, LabelList

    kinds = {"text": FTS(with_position=False), "audience": Bitmap(), "sources": LabelList(), "tags": LabelList()}
    return kinds.get(column) or BTree()


def rows(dimensions: int) -> Any:
    """Return the schema of `rows`: a text, or a chunk of a document, with where it comes from; `hit` is all of it."""
    import pyarrow as pa

    text, number, texts = pa.string(), pa.int64(), pa.list_(pa.string())
    columns = {
        "id": text, "kind": text, "document": text, "n": number, "text": text, "title": text,
        "audience": text, "scope": text, "owner": text, "workspace": text, "trust": text,
        "source": text, "sources": texts, "run": text, "call": text, "skill": text, "principal": text,
        "at_ms": number, "tags": texts, "labels": text, "place": text, "embedder": text, "seq": number, "hit": text,
        "vector": pa.list_(pa.float16(), dimensions),
    }  # fmt: skip
    return pa.schema(list(columns.items()))


def reads() -> Any:
    """Return the schema of `reads`: a call, the rows that it was shown, and everything that those come from."""
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    columns = {
        "call": text, "run": text, "skill": text, "principal": text, "workspace": text, "rows": texts,
        "sources": texts, "trust": text, "at_ms": pa.int64(), "seq": pa.int64(),
    }  # fmt: skip
    return pa.schema(list(columns.items()))


def position() -> Any:
    """Return the schema of `position`: which stream is folded, how far, and with which tables."""
    import pyarrow as pa

    columns = {
        "created": pa.string(), "embedder": pa.string(), "format": pa.int64(), "seq": pa.int64(),
        "at_ms": pa.int64(), "versions": pa.string(),
    }  # fmt: skip
    return pa.schema(list(columns.items()))
