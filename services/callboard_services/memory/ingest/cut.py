"""A document cut into chunks that an embedder reads whole, each with its place in the text. Pure.

Promises: a chunk is exactly the text between its two places; none holds more tokens than may be, and none more
characters than a page of print; chunks follow one another, and only white space lies between them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from callboard_contracts.memory import Chunk, Place
from callboard_services.memory.ingest.headings import Outline
from callboard_services.memory.ingest.parsed import Form, Parsed

TOKENS = 180
"""What a chunk should have: an embedder reads 256, and the title and headings are read with it."""
MOST_TOKENS = 220
_SAMPLE_CHARS = 20_000
_LEAST_CHARS = 40
_USUAL = 4.5
"""Characters of a token; more than that is a table of numbers or one long word, and no text."""
_BLOCK_CHARS = 20_000
_WORTH = 200
"""Characters that say something by themselves."""
_COLUMNS = 200
"""Characters of the first line of a table, which stands for the headings of its rows."""

Count = Callable[[Sequence[str]], list[int]]
"""Returns how many tokens each text has."""


def chunks(parsed: Parsed, count: Count) -> list[Chunk]:
    """Return a document in chunks, in its order, without vectors."""
    text = parsed.text
    outline = Outline(text if parsed.form == "markdown" else "")
    spans = [part for span in _spans(text, parsed.form, count) for part in _cited(span, outline, parsed)]
    lines = [at for at, letter in enumerate(text) if letter == "\n"]
    columns = " ".join(text.lstrip("\n").split("\n", 1)[0].split())[:_COLUMNS] if parsed.form == "table" else ""
    return [
        Chunk(
            text=text[start:end],
            place=Place(
                page=bisect_right(parsed.pages, start),
                line=bisect_right(lines, start - 1) + 1,
                line_to=bisect_right(lines, end - 2) + 1,
                start=start,
                end=end,
                heading=" › ".join(outline.path(start)) or (columns if start else ""),
            ),
        )
        for start, end in spans
    ]


def _cited(span: tuple[int, int], outline: Outline, parsed: Parsed) -> Iterator[tuple[int, int]]:
    """Yield a span cut where a page begins, and where a section does unless too little stands before it."""
    start, end = span
    pages = set(parsed.pages[bisect_right(parsed.pages, start) : bisect_left(parsed.pages, end)])
    cuts = [start]
    for at in sorted({*outline.within(start + 1, end - 1), *pages}):
        if at in pages or at - cuts[-1] >= _WORTH:
            cuts.append(at)
    for one, until in pairwise([*cuts, end]):
        if text := parsed.text[one:until].rstrip():
            yield one, one + len(text)


def _spans(text: str, form: Form, count: Count) -> list[tuple[int, int]]:
    """Return where chunks begin and end. Cut by characters, which is quick; what has too many tokens is cut again."""
    sample = text[:_SAMPLE_CHARS]
    ratio = min(_USUAL, len(sample) / max(1, count([sample])[0]))
    found, fitting = _cut(text, 0, form, int(TOKENS * ratio)), list[tuple[int, int]]()
    while found:
        counts = count([text[start:end] for start, end in found])
        again = list[tuple[int, int]]()
        for (start, end), tokens in zip(found, counts, strict=True):
            if tokens <= MOST_TOKENS or end - start <= _LEAST_CHARS:
                fitting.append((start, end))
            else:
                again += _cut(text[start:end], start, form, (end - start) * TOKENS // tokens)
        found = again
    return sorted(fitting)


def _cut(text: str, offset: int, form: Form, most_chars: int) -> list[tuple[int, int]]:
    splitter = _splitter(form, max(_LEAST_CHARS, most_chars))
    return [
        (offset + start + at, offset + start + at + len(chunk))
        for start, block in _blocks(text)
        for at, chunk in splitter.chunk_indices(block)
    ]


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield a long text in blocks: of one without spaces, the splitter's time grows with the square of its length."""
    start = 0
    while len(text) - start > _BLOCK_CHARS:
        ends = (text.rfind(mark, start, start + _BLOCK_CHARS) + len(mark) for mark in ("\n\n", "\n", " "))
        end = next((end for end in ends if end > start + _BLOCK_CHARS // 2), start + _BLOCK_CHARS)
        yield start, text[start:end]
        start = end
    yield start, text[start:]


def _splitter(form: Form, most_chars: int) -> Any:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    return MarkdownSplitter(most_chars) if form == "markdown" else TextSplitter(most_chars)
