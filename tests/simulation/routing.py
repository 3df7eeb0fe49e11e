"""Subjects of the broker: who is interested in one, by a trie as nats-server keeps it."""

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
_INBOX = "_INBOX."


def matches(pattern: list[str], tokens: list[str]) -> bool:
    """Tell whether a subject's tokens fit a pattern's: `*` is one token, a last `>` one or more."""
    if pattern[-1] == ">":
        if len(tokens) < len(pattern):
            return False
        pattern = pattern[:-1]
    elif len(pattern) != len(tokens):
        return False
    for want, found in zip(pattern, tokens, strict=False):  # noqa: SIM110 - twice as fast as all(), and asked often
        if want not in ("*", found):
            return False
    return True


class _Node(Generic[T]):
    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.values: dict[T, None] = {}


class Trie(Generic[T]):
    """Values by patterns. Those that fit a subject come in an order that depends on the insertions alone.

    Inboxes, which are most of all patterns, are kept apart: a look-up each instead of a walk.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._inboxes: dict[str, dict[T, None]] = {}

    def add(self, pattern: str, value: T) -> None:
        """Keep a value under a pattern."""
        if pattern.startswith(_INBOX):
            self._inboxes.setdefault(pattern, {})[value] = None
            return
        node = self._root
        for token in pattern.split("."):
            node = node.children.setdefault(token, _Node())
        node.values[value] = None

    def remove(self, pattern: str, value: T) -> None:
        """Forget a value; nothing happens when it is not there."""
        if pattern.startswith(_INBOX):
            self._inboxes.get(pattern, {}).pop(value, None)
            return
        node = self._root
        for token in pattern.split("."):
            found = node.children.get(token)
            if found is None:
                return
            node = found
        node.values.pop(value, None)

    def find(self, subject: str) -> list[T]:
        """Return every value whose pattern a subject fits."""
        if subject.startswith(_INBOX):
            group = subject.rpartition(".")[0] + ".*"
            return [*self._inboxes.get(subject, ()), *self._inboxes.get(group, ())]
        return self._walk(subject)

    def _walk(self, subject: str) -> list[T]:
        found: list[T] = []
        level = [self._root]
        for token in subject.split("."):
            following: list[_Node[T]] = []
            for node in level:
                children = node.children
                if (rest := children.get(">")) is not None:
                    found += rest.values
                if (exact := children.get(token)) is not None:
                    following.append(exact)
                if (any_ := children.get("*")) is not None:
                    following.append(any_)
            if not following:
                return found
            level = following
        return found + _values(level)


def _values(nodes: Iterable[_Node[T]]) -> list[T]:
    return [value for node in nodes for value in node.values]
