"""A document as it was read: its text, and what a citation needs to know of it. Pure."""

from typing import Literal

import msgspec

from callboard_contracts.errors import CallboardError

Form = Literal["markdown", "text", "table"]
"""What the text is cut by: headings and blocks, paragraphs and sentences, or lines below a first line of names."""

MAX_CHARS = 8_000_000
"""The most text of one document."""


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """The text of one document. Positions in citations count in this text."""

    text: str
    form: Form = "text"
    title: str = ""
    pages: tuple[int, ...] = ()
    """Where each page begins, in characters; empty for what has no pages."""


def unreadable(why: str) -> CallboardError:
    """Return the error for what cannot be read as a document."""
    return CallboardError("unreadable_document", why)


def checked(parsed: Parsed) -> Parsed:
    """Return a document that holds text, and not too much of it.

    :raises CallboardError: `unreadable_document`.
    """
    if not parsed.text.strip():
        raise unreadable("it holds no text")
    if len(parsed.text) > MAX_CHARS:
        raise unreadable(f"it holds {len(parsed.text):,} characters, {MAX_CHARS:,} is the most")
    return parsed
