"""Units: money is whole micro-US-dollars, so that sums are exact; time is seconds, or milliseconds since 1970."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

MICRO = 1_000_000
MicroUsd = int
"""One millionth of a US dollar."""


def micro_usd(dollars: str | float) -> MicroUsd:
    """Return dollars as whole micro-dollars.

    :raises ValueError: not a number, or negative.
    """
    try:
        exact = Decimal(str(dollars))
        if not exact.is_finite() or exact < 0:
            raise ValueError(f"{dollars!r} is not an amount of US dollars")
    except InvalidOperation:
        raise ValueError(f"{dollars!r} is not an amount of US dollars") from None
    return int((exact * MICRO).to_integral_value(ROUND_HALF_UP))


def dollars(amount: MicroUsd) -> float:
    """Return micro-dollars as dollars, for people and JSON."""
    return amount / MICRO


def priced(tokens: int, per_million: MicroUsd) -> MicroUsd:
    """Return what `tokens` cost at a price per million tokens, rounded up so that a reservation always covers it."""
    return -(-tokens * per_million // MICRO)
