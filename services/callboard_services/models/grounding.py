"""Which values of an output occur in no tool result. Pure.

The rule, leaf by leaf (booleans, null and empty strings are no claims):

- A number occurs when it is a number leaf of a result, or stands in the text of one.
- A string of up to six words occurs when its words stand in a result one after the other: in a string leaf, or in the
  result's JSON. Words are whole: `art` does not occur in `start`.
- A longer string may be the model's own wording. It occurs like a short one, or when every number in it does and so
  does every capitalised word that does not begin a sentence.

Values are compared in the form of `normal`: letter case, white space, typography and number formats do not matter. The
rule finds what was invented; that a value occurs does not prove that it answers the question.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from callboard_contracts import wire
from callboard_services.models import normal

SHORT_WORDS = 6
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_BEGINNING = re.compile(r"(?:[.!?:;\n]|[-*•]\s)[\s\"'“‘(\[*_#]*\Z")
_LOOK_BACK = 24
"""How far before a word its sentence may begin: enough for a mark, white space and opening quotes."""
_SEPARATOR = "\n"
"""Between texts: `normal.text` leaves none within them, so that nothing occurs across two."""


class Evidence:
    """What the tools returned, ready to be searched."""

    def __init__(self, results: Iterable[Any]) -> None:
        texts = [part for result in results for part in _texts(result)]
        self._text = _SEPARATOR.join(map(normal.text, texts))
        self._numbers = {number for part in texts for number in normal.loose_numbers(part)}
        self._words = set(_WORD.findall(self._text))

    def holds_number(self, value: Decimal) -> bool:
        """Tell whether a number occurs."""
        return value in self._numbers

    def holds_words(self, value: str) -> bool:
        """Tell whether a text occurs, at the bounds of words."""
        return _bounded(normal.text(value), self._text)

    def holds_claims(self, value: str) -> bool:
        """Tell whether the numbers and names of a longer text occur."""
        numbers = all(self.holds_number(number) for number in normal.numbers(value))
        return numbers and all(name in self._words for name in names(value))


def ungrounded(output: Any, results: Iterable[Any]) -> tuple[str, ...]:
    """Return the JSON pointers (RFC 6901) of the leaves of `output` that occur in none of the tools' `results`."""
    evidence = Evidence(results)
    return tuple(pointer for pointer, leaf in leaves(output) if not _occurs(leaf, evidence))


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its JSON pointer, in order."""
    match value:
        case dict():
            for key, one in value.items():
                yield from leaves(one, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
        case list() | tuple():
            for at, one in enumerate(value):
                yield from leaves(one, f"{pointer}/{at}")
        case _:
            yield pointer, value


def names(value: str) -> list[str]:
    """Return the capitalised words that do not begin a sentence, in their one form."""
    words = (found for found in _WORD.finditer(value) if found.group()[0].isupper() and len(found.group()) > 1)
    return [normal.text(found.group()) for found in words if not _begins_sentence(value, found.start())]


def _begins_sentence(value: str, at: int) -> bool:
    before = value[max(0, at - _LOOK_BACK) : at]
    first = at <= _LOOK_BACK and not before.strip(" \n\t\"'“‘([*_#")
    return first or _BEGINNING.search(before) is not None


def _occurs(leaf: Any, evidence: Evidence) -> bool:
    match leaf:
        case bool() | None:
            return True
        case int() | float():
            return evidence.holds_number(Decimal(str(leaf)))
        case str() if not leaf.strip():
            return True
        case str() if len(leaf.split()) > SHORT_WORDS:
            return evidence.holds_words(leaf) or evidence.holds_claims(leaf)
        case _:
            return evidence.holds_words(str(leaf))


def _texts(result: Any) -> Iterator[str]:
    """Yield the texts of a result: each leaf, and the whole as JSON."""
    yield wire.encode(result).decode()
    for _, leaf in leaves(result):
        if isinstance(leaf, str | int | float) and not isinstance(leaf, bool):
            yield str(leaf)


def _bounded(needle: str, text: str) -> bool:
    """Tell whether `needle` stands in `text` without a letter or digit right before or behind it."""
    at = text.find(needle)
    while at >= 0:
        end = at + len(needle)
        if not (text[at - 1 : at].isalnum() and needle[:1].isalnum()) and not (
            text[end : end + 1].isalnum() and needle[-1:].isalnum()
        ):
            return True
        at = text.find(needle, at + 1)
    return False
