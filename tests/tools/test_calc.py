"""`calc` says what Python says, exactly where that is possible, and nothing can be smuggled into it."""

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.tools import ToolError
from callboard_services.tools.builtin import calc
from callboard_services.tools.builtin.calc import Number

WHOLE = st.integers(-(10**6), 10**6).map(lambda n: f"({n})")
DECIMAL = st.decimals(-1000, 1000, places=3, allow_nan=False).map(lambda d: f"({d})")
OPERATORS = ("+", "-", "*", "/", "//", "%")


def _expressions(leaf: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from(OPERATORS), inner),
            st.builds(lambda f, a, b: f"{f}({a}, {b})", st.sampled_from(("min", "max")), inner, inner),
            st.builds(lambda a: f"-abs({a})", inner),
            st.builds(lambda a, b, c: f"sum({a}, {b}, {c})", inner, inner, inner),
            st.builds(lambda a, n: f"round({a}, {n})", inner, st.integers(-2, 4)),
            st.builds(lambda a, n: f"({a}) ** {n}", inner, st.integers(0, 3)),
        ),
        max_leaves=8,
    )


def _python(expression: str) -> Fraction | None:
    """Evaluate with Python's own parser and precedence, each number a fraction."""
    text = re.sub(r"\d+(\.\d+)?", r"F('\g<0>')", expression)
    names = {
        "F": Fraction,
        "min": min,
        "max": max,
        "abs": abs,
        "sum": lambda *values: sum(values, Fraction(0)),
        "round": lambda value, digits: round(Fraction(value), int(digits)),
        "__builtins__": {},
    }
    try:
        return Fraction(eval(text, names))  # noqa: S307 - of our own making
    except ZeroDivisionError:
        return None


@given(_expressions(st.one_of(WHOLE, DECIMAL)))
def test_it_agrees_with_python(expression: str) -> None:
    expected, (found, problem) = _python(expression), _calc(expression)
    if found is None:
        assert expected is None or re.search("digits|too large|longer", problem)
        return
    assert expected is not None
    assert found.value == pytest.approx(float(expected), rel=1e-12)
    if found.exact:
        assert Fraction(found.text) == expected
    else:
        assert abs(Fraction(found.text) - expected) <= abs(expected) / 10**20


def _calc(expression: str) -> tuple[Number | None, str]:
    try:
        return calc(expression), ""
    except ToolError as error:
        return None, str(error)


@given(st.text(max_size=60))
def test_any_text_is_calculated_or_refused_in_words(text: str) -> None:
    found, problem = _calc(text)
    assert isinstance(found, Number) != bool(problem)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("0.1 + 0.2", "0.3"),
        ("(1200 - 350.5) * 0.19", "161.405"),
        ("2 ** 10", "1024"),
        ("2 ** -2", "0.25"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("sqrt(16)", "4"),
        ("sqrt(0.25)", "0.5"),
        ("round(2.675, 2)", "2.68"),
        ("round(7 / 2)", "4"),
        ("sum([1, 2, 3])", "6"),
        ("1_000 * 1e3", "1000000"),
        ("2 ** 100", str(2**100)),
        ("10 / 3 * 3", "10"),
    ],
)
def test_what_can_be_exact_is_exact(expression: str, text: str) -> None:
    found = calc(expression)
    assert (found.text, found.exact) == (text, True)


def test_what_has_no_end_says_so() -> None:
    assert calc("1 / 3") == Number(value=1 / 3, text="0.3333333333333333333333333333", exact=False)
    assert calc("sqrt(2)") == Number(value=math.sqrt(2), text=repr(math.sqrt(2)), exact=False)


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("1 / 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("1,234 + 1", "without commas"),
        ("5 ^ 2", "**"),
        ("price * 2", "no variables"),
        ("max()", "max does not take 0"),
        ("round(1, 2, 3)", "round does not take 3"),
        ("sqrt(-1)", "negative"),
        ("(-8) ** 0.5", "negative"),
        ("9 ** 9 ** 9", "too large"),
        ("1e999999999", "too large"),
        ("2 ** 4000 * 2 ** 4000", "1,200 digits"),
        ("2 +", "not an arithmetic expression"),
        ("", "not an arithmetic expression"),
        ("(" * 300 + "1" + ")" * 300, "nested"),
        ("1" * 1001, "longer than 1000"),
        ("__import__('os').system('true')", "no variables"),
        ("(1).__class__", "only numbers"),
        ("[1 for x in (1, 2)]", "only numbers"),
        ("'a' * 9", "only numbers"),
        ("True + 1", "only numbers"),
        ("1j * 1j", "only numbers"),
        ("(lambda: 1)()", "no variables"),
    ],
)
def test_what_is_no_arithmetic_is_refused_in_words_that_help(expression: str, word: str) -> None:
    with pytest.raises(ToolError) as caught:
        calc(expression)
    assert word in str(caught.value)
