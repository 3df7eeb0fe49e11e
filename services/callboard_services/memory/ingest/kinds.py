"""What a document is, by its name and what its server says of it, and its bytes as text. Pure."""

import codecs
import re
from pathlib import PurePosixPath
from typing import Literal

from callboard_services.memory.ingest.parsed import unreadable

Kind = Literal["markdown", "text", "table", "json", "html", "pdf"]

_BY_SUFFIX: dict[str, Kind] = {
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".pdf": "pdf",
    ".csv": "table", ".tsv": "table",
    ".json": "json",
}  # fmt: skip
_BY_TYPE: dict[str, Kind] = {
    "text/markdown": "markdown",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/pdf": "pdf",
    "text/csv": "table",
    "text/tab-separated-values": "table",
    "application/json": "json",
}
_TEXTUAL = re.compile(r"text/.+|application/(.+\+)?(json|xml|yaml|toml|javascript|x-ndjson|x-yaml)")
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_LOOK_BYTES = 4096
_CONTROL_SHARE = 0.02
"""A text has hardly any control characters; what has more is a program, a picture, an archive."""


def kind_of(name: str, content_type: str, data: bytes) -> Kind:
    """Return what a document is. What a server says counts more than a name, and `%PDF-` more than both.

    :raises CallboardError: `unreadable_document`, it is nothing that holds text.
    """
    if data[:1024].lstrip().startswith(b"%PDF-"):
        return "pdf"
    media = content_type.partition(";")[0].strip().lower()
    known = _BY_SUFFIX.get(PurePosixPath(name).suffix.lower())
    if media in ("", "application/octet-stream"):
        return known or "text"
    if media in _BY_TYPE:
        return _BY_TYPE[media]
    if not _TEXTUAL.fullmatch(media):
        raise unreadable(f"nothing here reads {media[:80]}")
    return known if known is not None and known != "pdf" else "text"


def text_of(data: bytes, content_type: str = "") -> str:
    """Return bytes as text whose lines end with one line feed: by its mark, else UTF-8, else what is said of it.

    :raises CallboardError: `unreadable_document`, it is not text.
    """
    text = _decoded(data, content_type)
    control = sum(text.count(chr(code)) for code in (*range(9), *range(14, 32)))
    if control > _CONTROL_SHARE * len(text) or "\0" in text:
        raise unreadable("it is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes, content_type: str) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    for name in (_said(content_type), _said_within(data)):
        if name:
            return data.decode(name, errors="replace")
    return data.decode("cp1252", errors="replace")


def _said(content_type: str) -> str:
    found = re.search(r"charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", content_type, re.IGNORECASE)
    return _usable(found.group(1)) if found else ""


def _said_within(data: bytes) -> str:
    found = _META.search(data[:_LOOK_BYTES])
    return _usable(found.group(1).decode()) if found else ""


def _usable(name: str) -> str:
    """Return a character set's name when it is one: Python knows `hex` and `zip` under such names too."""
    try:
        info = codecs.lookup(name)
    except LookupError:
        return ""
    return info.name if getattr(info, "_is_text_encoding", True) else ""
