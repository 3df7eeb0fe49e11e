"""A document is cut into chunks whose citations are exact."""

import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard_contracts.memory import Chunk
from callboard_services.memory.ingest.cut import MOST_TOKENS, chunks
from callboard_services.memory.ingest.headings import headings
from callboard_services.memory.ingest.parsed import Parsed

MANUAL = """# Returns

Customers may return goods within 30 days.

## Exceptions

Gift cards cannot be returned.

```sh
# no heading
```

Shipping
--------

Parcels leave at noon.
"""


def count(texts: Sequence[str]) -> list[int]:
    """Count tokens roughly as word pieces do: at most four letters each."""
    return [len(re.findall(r"\w{1,4}|[^\w\s]", text)) for text in texts]


def of_words(text: str, words: str) -> Chunk:
    """Return the chunk that holds words."""
    return next(one for one in chunks(Parsed(text=text, form="markdown"), count) if words in one.text)


_texts = st.lists(
    st.sampled_from(["word", "a.b ", "\n", "\n\n", "# Head\n", "| a | b |\n", "字", " ", "x" * 900, "1,2,3;", "```\n"]),
    max_size=200,
).map("".join)


@given(_texts, st.sampled_from(["markdown", "text", "table"]))
def test_a_chunk_is_exactly_what_stands_at_its_place_and_nothing_but_white_space_is_lost(text: str, form: str) -> None:
    found = chunks(Parsed(text=text, form=form), count)  # type: ignore[arg-type]  # it is one of the three
    before = 0
    for one in found:
        place = one.place
        assert text[place.start : place.end] == one.text != ""
        assert not text[before : place.start].strip()
        assert place.line == text.count("\n", 0, place.start) + 1
        assert place.line_to == text.count("\n", 0, place.end - 1) + 1
        before = place.end
    assert not text[before:].strip()


@given(_texts)
def test_no_chunk_is_larger_than_an_embedder_reads(text: str) -> None:
    found = chunks(Parsed(text=text), count)
    assert all(tokens <= MOST_TOKENS for tokens in count([one.text for one in found]))
    assert all(len(one.text) <= 1_000 for one in found)


@pytest.mark.parametrize("text", ["字" * 200_000, "a" * 300_000, "word " * 60_000, "line\n\n" * 20_000])
def test_a_text_without_spaces_costs_no_more_than_another_of_its_length(text: str) -> None:
    began = time.process_time()
    found = chunks(Parsed(text=text), count)
    assert time.process_time() - began < 4
    assert sum(len(one.text) for one in found) >= len(text) - text.count(" ") - text.count("\n")


def test_a_chunk_names_the_headings_that_it_stands_under_from_the_outermost_on() -> None:
    padding = "More words stand here, so that the sections do not fit into one chunk.\n\n" * 20
    text = MANUAL.replace("```sh", padding + "```sh").replace("Shipping\n", padding + "Shipping\n")
    assert of_words(text, "within 30 days").place.heading == "Returns"
    assert of_words(text, "Gift cards").place.heading == "Returns › Exceptions"
    assert of_words(text, "leave at noon").place.heading.endswith("Shipping")


def test_a_line_of_code_is_no_heading_and_an_underlined_line_is_one() -> None:
    assert [(one.level, one.text) for one in headings(MANUAL)] == [(1, "Returns"), (2, "Exceptions"), (2, "Shipping")]


def test_a_chunk_of_a_table_names_its_columns() -> None:
    rows = "".join(f"{number},hut {number},{1000 + number}\n" for number in range(400))
    found = chunks(Parsed(text="id,name,altitude\n" + rows, form="table"), count)
    assert len(found) > 5
    assert {one.place.heading for one in found[1:]} == {"id,name,altitude"}
    assert all(re.fullmatch(r"(\d+,hut \d+,\d+\n?)+", one.text) for one in found[1:])


def test_a_chunk_stands_on_one_page_however_short_that_is() -> None:
    pages = ["The hut opens in June.", "", "The warden is called Rosa."]
    text = "\n\n".join(pages)
    starts = (0, len(pages[0]) + 2, len(pages[0]) + 4)
    found = chunks(Parsed(text=text, pages=starts), count)
    assert [(one.place.page, one.text) for one in found] == [(1, pages[0]), (3, pages[2])]


def test_a_long_page_has_several_chunks_of_its_own() -> None:
    pages = ["first page. " * 200, "second page. " * 200]
    text = "\n\n".join(pages)
    found = chunks(Parsed(text=text, pages=(0, len(pages[0]) + 2)), count)
    assert len(found) > 4
    assert all(one.place.page == (1 if "first" in one.text else 2) for one in found)
    assert not any("first" in one.text and "second" in one.text for one in found)
