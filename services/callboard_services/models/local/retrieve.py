"""Retrieval: which records of a result, and which fields of a record, a goal speaks of (MiniLM)."""

from collections.abc import Iterator
from typing import Any, Protocol

from callboard_services.models.local import words
from callboard_services.models.local.history import texts

Record = dict[str, Any]
FIELDS = 3
"""How many fields of a record are shown beside the one that names it."""


class Similarity(Protocol):
    """How near two texts are in meaning, -1 to 1."""

    def __call__(self, a: str, b: str, /) -> float:
        """Compare two texts."""
        ...


class Retriever:
    """Pure judgements over a similarity: the same texts always give the same order."""

    def __init__(self, similarity: Similarity) -> None:
        self._near = similarity

    def nearest(self, goal: str, value: Any) -> list[Record]:
        """Return the records of a result, the most relevant first."""
        return sorted(outer_records(value), key=lambda record: -self._relevance(goal, record))

    def shown(self, goal: str, record: Record) -> Record:
        """Return a record with its first field and the most relevant of the others, in their own order."""
        first, *others = record
        near = sorted(others, key=lambda field: -self.field(goal, field))[:FIELDS]
        return {field: record[field] for field in record if field == first or field in near}

    def field(self, goal: str, field: str) -> float:
        """Return how near a field's name is to the goal."""
        return self._near(goal, words.spoken(field))

    def known(self, word: str, labels: list[str]) -> float:
        """Return how near a word of the goal is to the nearest of the labels, 1 for the same word."""
        said = [part for label in labels for part in (words.spoken(label), *words.words(words.spoken(label)))]
        if word.lower() in {one.lower() for one in said}:
            return 1.0
        return max((self._near(word, one) for one in dict.fromkeys(said)), default=0.0)

    def _relevance(self, goal: str, record: Record) -> float:
        said = [words.spoken(text) for text in dict.fromkeys(texts(record)) if not _number(text)]
        wanted = words.content(goal)
        best = sum(max((self._near(word, text) for text in said), default=0.0) for word in wanted)
        return best / max(1, len(wanted)) + (self._near(goal, ", ".join(said)) if said else 0.0)


def outer_records(value: Any) -> list[Record]:
    """Return the objects of the first list in a value; without any list the value itself."""
    match value:
        case list():
            return [one for one in value if isinstance(one, dict)]
        case dict():
            inner = (found for one in value.values() if isinstance(one, list) and (found := outer_records(one)))
            return next(inner, [value])
        case _:
            return []


def flat_records(value: Any) -> list[Record]:
    """Return the objects in a value that hold a scalar and nothing else below them, in order."""
    return [record for record in _objects(value) if record]


def _objects(value: Any) -> Iterator[Record]:
    match value:
        case dict():
            below = [found for one in value.values() for found in _objects(one)]
            yield from below or [{key: one for key, one in value.items() if isinstance(one, str | int | float)}]
        case list():
            for one in value:
                yield from _objects(one)
        case _:
            return


def _number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdigit()
