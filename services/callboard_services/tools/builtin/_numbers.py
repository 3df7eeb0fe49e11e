"""What can be done with numbers: exactly with fractions, in floats where a result has no end, always bounded."""

import ast
import math
import operator
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any, Final

MAX_BITS: Final = 4096
"""The most that a number's numerator or denominator may have: about 1,233 decimal digits."""


class ArithmeticProblem(Exception):  # noqa: N818 - it is what the expression has
    """The expression cannot be calculated; the text says why."""


def bounded(value: Fraction | float) -> Fraction | float:
    """Return a number.

    :raises ArithmeticProblem: it is too large to go on with.
    """
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise ArithmeticProblem("a number on the way has more than 1,200 digits")
    elif not math.isfinite(value):
        raise ArithmeticProblem("a number on the way is too large")
    return value


def _mixed(exact: Callable[[Any, Any], Any], left: Fraction | float, right: Fraction | float) -> Fraction | float:
    both = isinstance(left, Fraction) and isinstance(right, Fraction)
    return Fraction(exact(left, right)) if both else float(exact(float(left), float(right)))


def _power(base: Fraction | float, exponent: Fraction | float) -> Fraction | float:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if base not in (0, 1, -1) and abs(exponent) * max(1, size - 1) > MAX_BITS:
            raise ArithmeticProblem("the power is too large")
        return Fraction(base ** int(exponent)) if base not in (1, -1) else base ** int(exponent % 2)
    if exponent == Fraction(1, 2):
        return _sqrt(base)
    if base < 0:
        raise ArithmeticProblem("a negative number has no real power that is not whole")
    return math.pow(base, exponent)


def _sqrt(value: Fraction | float) -> Fraction | float:
    if value < 0:
        raise ArithmeticProblem("a negative number has no real square root")
    if isinstance(value, Fraction):
        roots = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if roots[0] ** 2 == value.numerator and roots[1] ** 2 == value.denominator:
            return Fraction(*roots)
    return math.sqrt(value)


def _round(value: Fraction | float, digits: Fraction | float = Fraction(0)) -> Fraction:
    """Round the exact value; a half goes to the even digit, as in Python."""
    if digits != int(digits) or not -300 <= digits <= 300:
        raise ArithmeticProblem("round takes a whole number of digits, at most 300")
    return Fraction(round(Fraction(value), int(digits)))


def _sum(*values: Fraction | float) -> Fraction | float:
    return sum(values, Fraction(0))


OPERATORS: Final[dict[type[ast.operator], Callable[[Any, Any], Fraction | float]]] = {
    ast.Add: partial(_mixed, operator.add),
    ast.Sub: partial(_mixed, operator.sub),
    ast.Mult: partial(_mixed, operator.mul),
    ast.Div: partial(_mixed, operator.truediv),
    ast.FloorDiv: partial(_mixed, operator.floordiv),
    ast.Mod: partial(_mixed, operator.mod),
    ast.Pow: _power,
}
FUNCTIONS: Final[dict[str, Callable[..., Fraction | float]]] = {
    "abs": abs,
    "max": lambda *values: max(*values, values[0]),
    "min": lambda *values: min(*values, values[0]),
    "round": _round,
    "sqrt": _sqrt,
    "sum": _sum,
}
