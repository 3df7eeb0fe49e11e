"""The headings of a Markdown text, and under which of them a place stands. Pure."""

import re
from bisect import bisect_left, bisect_right

import msgspec

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)\Z")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*\Z")
_PROSE = re.compile(r" {0,3}[^\s>#*+|`~-]")
"""What a line begins with that an underline makes a heading of."""
MOST_CHARS = 200
"""Of one heading in a citation."""


class Heading(msgspec.Struct, frozen=True):
    """Where a heading begins, how deep it is, and what it says."""

    at: int
    level: int
    text: str


def headings(text: str) -> list[Heading]:
    """Return every heading, in order. What stands in a block of code is none."""
    found, fence, before, at = list[Heading](), "", "", 0
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if _closes(mark, fence) else fence
        elif mark and not (mark.group(1)[0] == "`" and "`" in mark.group(2)):
            fence = mark.group(1)
        elif atx := _ATX.match(line):
            found.append(Heading(at, len(atx.group(1)), _shown(atx.group(2) or "")))
        elif (under := _SETEXT.match(line)) and _PROSE.match(before):
            found.append(Heading(at - len(before) - 1, 1 if under.group(1)[0] == "=" else 2, _shown(before)))
        before = "" if fence else line
        at += len(line) + 1
    return found


class Outline:
    """Finds the path of headings to a place."""

    def __init__(self, text: str) -> None:
        self.headings = headings(text)
        self._starts = [heading.at for heading in self.headings]
        self._paths = _paths(self.headings)

    def path(self, at: int) -> tuple[str, ...]:
        """Return the headings that a character stands under, the outermost first."""
        index = bisect_right(self._starts, at)
        return self._paths[index - 1] if index else ()

    def within(self, start: int, end: int) -> list[int]:
        """Return where headings begin between two places."""
        return self._starts[bisect_left(self._starts, start) : bisect_right(self._starts, end)]


def _paths(found: list[Heading]) -> list[tuple[str, ...]]:
    paths, open_ = list[tuple[str, ...]](), list[Heading]()
    for heading in found:
        while open_ and open_[-1].level >= heading.level:
            open_.pop()
        open_.append(heading)
        paths.append(tuple(one.text for one in open_ if one.text))
    return paths


def _closes(mark: re.Match[str] | None, fence: str) -> bool:
    return mark is not None and mark.group(1).startswith(fence) and not mark.group(2).strip()


def _shown(text: str) -> str:
    return " ".join(text.split())[:MOST_CHARS]
