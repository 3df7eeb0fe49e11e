"""`calc`: arithmetic for a model, which should never do it in its head."""

from decimal import Context, Decimal, Inexact
from fractions import Fraction
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from callboard.tools import ToolError, tool
from callboard_services.tools.builtin._arithmetic import evaluate
from callboard_services.tools.builtin._numbers import ArithmeticProblem

_WHOLE: Final = 2**53
"""Up to here every reader of JSON keeps an integer exact."""
_EXACT_DIGITS: Final = 60
_ROUNDED_DIGITS: Final = 28


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression comes to. `text` has every digit when it is exact, 28 otherwise."""

    value: int | float
    text: str
    exact: bool


@tool(name="calc", effect="pure", timeout_s=5, tags=("arithmetic",))
def calc(
    expression: Annotated[str, Meta(description="Such as (1200 - 350.5) * 0.19 or round(sum(3, 4, 5) / 7, 2)")],
) -> Number:
    """Calculate an arithmetic expression exactly. Use it for every calculation instead of doing it in your head.

    It knows + - * / // % ** and parentheses, and the functions round, min, max, abs, sqrt and sum.
    """
    try:
        return number(evaluate(expression))
    except ArithmeticProblem as problem:
        raise ToolError(str(problem)) from None


def number(value: Fraction | float) -> Number:
    """Return a value with its digits.

    :raises ArithmeticProblem: it is too large to be shown.
    """
    if isinstance(value, float):
        return Number(value=value, text=repr(value), exact=False)
    if value.denominator == 1 and abs(value) <= _WHOLE:
        return Number(value=int(value), text=str(value), exact=True)
    text, exact = _digits(value)
    try:
        return Number(value=float(value), text=text, exact=exact)
    except OverflowError:
        raise ArithmeticProblem("the result is too large") from None


def _digits(value: Fraction) -> tuple[str, bool]:
    """Return a fraction in decimal, and whether that is all of it."""
    if value.denominator == 1:
        return str(value.numerator), True
    exact = Context(prec=_EXACT_DIGITS)
    quotient = exact.divide(Decimal(value.numerator), Decimal(value.denominator))
    if exact.flags[Inexact]:
        quotient = Context(prec=_ROUNDED_DIGITS).plus(quotient)
    return f"{quotient:f}", not exact.flags[Inexact]
