"""The goal in pieces: words and the runs of words that an argument or a name may be. Pure; English."""

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:['’.:,-][^\W_]+)*")
_SAID = """
a about all also an and any are as at be been being by can come comes could did do does done every for from get give
gives go goes had has have he her his how i if in into is it its just know let lie lies many may me might much must my
no not of off on one or our out please see shall she should show so some such take takes tell than that the their them
then there these they this those to up upon us want was we were what when where which who whom whose why will with
would you your
"""
_COMMON = frozenset(_SAID.split())
"""Words that carry a sentence and name nothing."""
MOST_WORDS = 5


def words(text: str) -> list[str]:
    """Return the words of a text as they are written."""
    return _WORD.findall(text)


def spans(text: str, most: int = MOST_WORDS) -> list[str]:
    """Return every run of up to `most` words that neither begins nor ends with a common word, each once."""
    found = words(text)
    runs = (found[at : at + size] for at in range(len(found)) for size in range(1, most + 1) if at + size <= len(found))
    return list(dict.fromkeys(" ".join(run) for run in runs if not {run[0].lower(), run[-1].lower()} & _COMMON))


def content(text: str, without: Iterable[str] = ()) -> list[str]:
    """Return the words that carry meaning, those of `without` left away."""
    known = {word.lower() for one in without for word in words(one)}
    return [word for word in words(text) if word.lower() not in known | _COMMON]


def spoken(label: str) -> str:
    """Return a column's or tool's name as one would say it."""
    return re.sub(r"[_.\-/]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)).strip()
