"""Acts as lines of JSON or CSV."""

import csv
import io

from callboard.audit.act import COLUMNS, Act
from callboard_contracts import wire


def as_json(found: list[Act]) -> bytes:
    """Return an object per line."""
    return b"".join(wire.encode(act) + b"\n" for act in found)


def as_csv(found: list[Act]) -> bytes:
    """Return a row per act; of none the header."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerows([[_cell(getattr(act, column)) for column in COLUMNS] for act in found] or [COLUMNS])
    return text.getvalue().encode()


def _cell(value: object) -> object:
    """Return a value as no spreadsheet takes it for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
