"""How much of an answer the broker takes."""

from callboard_contracts import wire
from callboard_services.ledger.tables import Row


def fitting(rows: list[Row], room: int, *, newest: bool = False) -> list[Row]:
    """Return as many rows as fit into so many bytes: the first ones, or the last ones when those are the newest."""
    kept: list[Row] = []
    for row in reversed(rows) if newest else rows:
        room -= len(wire.encode(row)) + 1
        if room < 0:
            break
        kept.append(row)
    return kept[::-1] if newest else kept
