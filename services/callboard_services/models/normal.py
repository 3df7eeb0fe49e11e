"""Brings texts and numbers into one form, so that the same value written differently compares equal. Pure.

Letters lose their case and typography, white space becomes single spaces, and a number becomes its value:
`1,234`, `1234.0` and `1234` are one. A minus sign counts only where no letter, digit or dot stands before it.
"""

import re
import unicodedata
from decimal import Decimal

NUMBER = re.compile(r"(?<![\w.])(?:(?<![-–])-)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?!\w))?(?!\d)")
_GROUP = re.compile(r"\d+")
_SPACE = re.compile(r"\s+")
_QUOTES = str.maketrans("‘’“”«»–—−\u00a0", '\'\'""""--- ')


def text(value: str) -> str:
    """Return a text in its one form."""
    plain = unicodedata.normalize("NFKC", value).translate(_QUOTES)
    counted = NUMBER.sub(lambda found: written(number(found.group())), plain)
    return _SPACE.sub(" ", counted).strip().casefold()


def numbers(value: str) -> list[Decimal]:
    """Return the numbers in a text."""
    plain = unicodedata.normalize("NFKC", value).translate(_QUOTES)
    return [number(found) for found in NUMBER.findall(plain)]


def loose_numbers(value: str) -> set[Decimal]:
    """Return the numbers in a text, and those that a list written without spaces (`1,200,300`) may mean."""
    found = set(numbers(value))
    grouped = (one for one in NUMBER.findall(value) if "," in one)
    return found | {Decimal(part) for one in grouped for part in _GROUP.findall(one)}


def number(found: str) -> Decimal:
    """Return the value of a number as it was found."""
    return Decimal(found.replace(",", ""))


def written(value: Decimal) -> str:
    """Return a number's one form: no exponent, no needless zeros."""
    if abs(value.adjusted()) > 40:
        return str(value.normalize())
    whole = format(value, "f")
    plain = whole.rstrip("0").rstrip(".") if "." in whole else whole
    return "0" if plain in ("-0", "") else plain
