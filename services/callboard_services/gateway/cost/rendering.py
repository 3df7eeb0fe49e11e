"""Rows of cost as CSV: amounts in whole micro-USD, as they are in the ledger."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

MEDIA = "text/csv; charset=utf-8"
SUMS = (
    "calls", "cost_micro_usd", "billed_micro_usd", "input_tokens", "output_tokens", "unpriced_calls", "unpriced_tokens",
    "estimated_calls", "estimated_micro_usd",
)  # fmt: skip


def header(by: Sequence[str]) -> bytes:
    """Return the names of the columns."""
    return _text([[*_columns(by), *SUMS]])


def rows(by: Sequence[str], found: Iterable[dict[str, Any]]) -> bytes:
    """Return a line for each row."""
    return _text([*_values(by, row), *(row[name] for name in SUMS)] for row in found)


def _columns(by: Sequence[str]) -> list[str]:
    return [column for name in by for column in (("agent_skill", "agent_depth") if name == "agent" else (name,))]


def _values(by: Sequence[str], row: dict[str, Any]) -> list[object]:
    found: list[object] = []
    for name in by:
        found += [row[name]["skill"], row[name]["depth"]] if name == "agent" else [row[name]]
    return [_safe(value) for value in found]


def _safe(value: object) -> object:
    """Return a value as no spreadsheet takes it for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _text(lines: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()
