"""Arithmetic on text. Nothing is executed: a parsed expression is folded, and what is no arithmetic is refused."""

import ast
from decimal import Decimal
from fractions import Fraction
from typing import Final

from callboard_services.tools.builtin._numbers import FUNCTIONS, MAX_BITS, OPERATORS, ArithmeticProblem, bounded

MAX_LETTERS: Final = 1000


def evaluate(expression: str) -> Fraction | float:
    """Return what an expression comes to: a Fraction where that is exact, a float otherwise.

    :raises ArithmeticProblem: it is no arithmetic, or too large.
    """
    if len(expression) > MAX_LETTERS:
        raise ArithmeticProblem(f"the expression is longer than {MAX_LETTERS} letters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        return _fold(tree.body, expression.strip())
    except (SyntaxError, ValueError) as error:
        raise ArithmeticProblem(f"this is not an arithmetic expression: {_where(expression, error)}") from None
    except ZeroDivisionError:
        raise ArithmeticProblem("division by zero") from None
    except (RecursionError, MemoryError, OverflowError):
        raise ArithmeticProblem("the expression is nested too deeply or its result is too large") from None


def _where(expression: str, error: Exception) -> str:
    offset = getattr(error, "offset", None) or 1
    return f"{getattr(error, 'msg', error)} near {expression.strip()[max(0, offset - 6) : offset + 10]!r}"


def _fold(node: ast.expr, source: str) -> Fraction | float:
    match node:
        case ast.Constant(value=int() | float() as found) if not isinstance(found, bool):
            return _literal(node, found, source)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            value = _fold(operand, source)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return bounded(OPERATORS[type(op)](_fold(left, source), _fold(right, source)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return _call(name, [_fold(argument, source) for argument in _flat(arguments)])
        case _:
            raise ArithmeticProblem(_unknown(node, source))


def _literal(node: ast.Constant, found: float, source: str) -> Fraction | float:
    """Read a number as it was written: 0.1 is a tenth, not the nearest binary fraction."""
    if isinstance(found, int):
        return bounded(Fraction(found))
    text = (ast.get_source_segment(source, node) or repr(found)).replace("_", "")
    if abs(Decimal(text).adjusted()) > MAX_BITS // 4:
        raise ArithmeticProblem(f"{text} is too large or too small")
    return bounded(Fraction(text))


def _flat(arguments: list[ast.expr]) -> list[ast.expr]:
    """Take `sum([1, 2])` for `sum(1, 2)`."""
    match arguments:
        case [ast.List(elts=parts) | ast.Tuple(elts=parts)]:
            return parts
        case _:
            return arguments


def _call(name: str, values: list[Fraction | float]) -> Fraction | float:
    try:
        return bounded(FUNCTIONS[name](*values))
    except (TypeError, IndexError):
        raise ArithmeticProblem(f"{name} does not take {len(values)} numbers") from None


def _unknown(node: ast.expr, source: str) -> str:
    text = ast.get_source_segment(source, node) or type(node).__name__
    match node:
        case ast.Tuple():
            hint = "write numbers without commas: 1234.5, not 1,234.5"
        case ast.BinOp(op=ast.BitXor()):
            hint = "a power is written **"
        case ast.Name() | ast.Call():
            hint = f"there are no variables, and only the functions {', '.join(sorted(FUNCTIONS))}"
        case _:
            hint = "there are only numbers, + - * / // % ** and parentheses"
    return f"{text[:60]!r} cannot be calculated: {hint}"
