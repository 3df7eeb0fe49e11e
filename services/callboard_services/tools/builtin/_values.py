"""What DuckDB returns, as plain JSON values that say the same."""

import math
from decimal import Decimal
from typing import Any

_WHOLE = 2**53
"""Up to here every reader of JSON keeps an integer exact."""


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: numbers as numbers where that is exact, everything else as text.

    A binary fraction is given with 15 digits, so that 0.1 + 0.2 reads 0.3.
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) <= _WHOLE else str(value)
        case float():
            return float(f"{value:.15g}") if math.isfinite(value) else None
        case Decimal():
            return _decimal(value)
        case list() | tuple() | set():
            return [plain(part) for part in value]
        case dict():
            return {str(key): plain(part) for key, part in value.items()}
        case bytes():
            return value.hex()
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _decimal(value: Decimal) -> int | float | str | None:
    if not value.is_finite():
        return None
    if value == value.to_integral_value() and abs(value) <= _WHOLE:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)
