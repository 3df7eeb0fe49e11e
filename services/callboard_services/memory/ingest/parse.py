"""From the bytes of a document to its text. Pure; whatever it is given, it ends with a document or a clear error."""

from typing import assert_never

import msgspec

from callboard_services.memory.ingest import html, pdf
from callboard_services.memory.ingest.kinds import Kind, kind_of, text_of
from callboard_services.memory.ingest.parsed import Parsed, checked


def parse(name: str, content_type: str, data: bytes) -> Parsed:
    """Return the text of a document.

    :param name: its file's name. :param content_type: what a server said of it, empty when nobody did.
    :raises CallboardError: `unreadable_document`, with what is wrong.
    """
    return checked(_parsed(kind_of(name, content_type, data), content_type, data))


def _parsed(kind: Kind, content_type: str, data: bytes) -> Parsed:
    match kind:
        case "pdf":
            return pdf.parse(data)
        case "html":
            return html.parse(text_of(data, content_type))
        case "markdown":
            return Parsed(text=text_of(data, content_type), form="markdown")
        case "table":
            return Parsed(text=text_of(data, content_type), form="table")
        case "json":
            return Parsed(text=_indented(text_of(data, content_type)))
        case "text":
            return Parsed(text=text_of(data, content_type))
        case _:
            assert_never(kind)


def _indented(text: str) -> str:
    """Return JSON with a line per value, so that it can be cut and cited; as it is when it cannot be read."""
    if text.count("\n") * 200 > len(text):
        return text
    try:
        return msgspec.json.format(text, indent=1)
    except (msgspec.DecodeError, RecursionError):
        return text
