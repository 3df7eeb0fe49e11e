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

    def lacks(self, numbers: set[Decimal], words: set[str]) -> tuple[set[Decimal], set[str]]:
        """Return which of the numbers and names of a longer text do not occur."""
        return numbers - self._numbers, words - self._words


class Claims:
    """The leaves of an output that have not been found yet. Results are looked at one by one and not kept."""

    def __init__(self, output: Any) -> None:
        self._open = [claim for pointer, leaf in leaves(output) if (claim := _Claim(pointer, leaf)).claims]

    def look(self, result: Any) -> bool:
        """Look a result through. Tells whether anything is still to be found."""
        if self._open:
            evidence = Evidence((result,))
            self._open = [claim for claim in self._open if not claim.found(evidence)]
        return bool(self._open)

    @property
    def missing(self) -> tuple[str, ...]:
        """The JSON pointers (RFC 6901) of what was not found."""
        return tuple(claim.pointer for claim in self._open)


def ungrounded(output: Any, results: Iterable[Any]) -> tuple[str, ...]:
    """Return the JSON pointers of the leaves of `output` that occur in none of the tools' `results`."""
    claims = Claims(output)
    for result in results:
        claims.look(result)
    return claims.missing


class _Claim:
    """One leaf. What a longer text claims may stand in several results."""

    def __init__(self, pointer: str, leaf: Any) -> None:
        self.pointer = pointer
        self._leaf = leaf
        long = isinstance(leaf, str) and len(leaf.split()) > SHORT_WORDS
        self._parts = (set(normal.numbers(leaf)), set(names(leaf))) if long else None

    @property
    def claims(self) -> bool:
        """Whether it claims anything: a longer text without numbers and names is the model's own wording."""
        if self._leaf is None or isinstance(self._leaf, bool) or not str(self._leaf).strip():
            return False
        return self._parts is None or any(self._parts)

    def found(self, evidence: Evidence) -> bool:
        """Tell whether it was found by now."""
        if isinstance(self._leaf, int | float):
            return evidence.holds_number(Decimal(str(self._leaf)))
        if self._parts is None:
            return evidence.holds_words(str(self._leaf))
        self._parts = evidence.lacks(*self._parts)
        return not self.claims or evidence.holds_words(self._leaf)


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
