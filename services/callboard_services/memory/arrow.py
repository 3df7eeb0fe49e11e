"""Rows to Arrow and back."""

from typing import Any

from callboard_services.memory import schema
from callboard_services.memory.hits import Row


def as_table(rows: list[Row], dimensions: int, embedder: str) -> Any:
    """Return rows as Arrow. A vector that another embedder made is near nothing, until it is made anew."""
    import numpy as np
    import pyarrow as pa

    exact: Any = np.zeros((len(rows), dimensions), np.float16)
    for at, row in enumerate(rows):
        if row["embedder"] == embedder and len(row["vector"]) == dimensions:
            exact[at] = row["vector"]
    names = schema.rows(dimensions)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(exact.ravel()), dimensions)
    data = pa.Table.from_pylist(rows, schema=names.remove(names.get_field_index("vector")))
    return data.append_column(names.field("vector"), vectors)


def by_source(data: Any, most: int) -> list[Row]:
    """Return the newest row of each source, and how many it has, the newest first."""
    ordered = data.sort_by([("source", "ascending"), ("at_ms", "descending")])
    firsts = [(name, "first") for name in ordered.column_names if name != "source"]
    found = ordered.group_by("source", use_threads=False).aggregate([*firsts, ("at_ms", "count")])
    names = [name.removesuffix("_first") for name in found.column_names]
    newest = found.rename_columns(["rows" if name == "at_ms_count" else name for name in names])
    ordered = newest.sort_by([("at_ms", "descending"), ("source", "ascending")])
    return list(ordered.slice(0, most).to_pylist())


def whole(batch: Any) -> Any:
    """Return a record batch as a table."""
    import pyarrow as pa

    return pa.Table.from_batches([batch])
