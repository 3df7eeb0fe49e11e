"""The text of a PDF, page by page. Pure, and never run in the service itself: see `reading`."""

from io import BytesIO

from callboard_services.memory.ingest.parsed import MAX_CHARS, Parsed, unreadable

_BETWEEN = "\n\n"


def parse(data: bytes) -> Parsed:
    """Return the text of a PDF.

    :raises CallboardError: `unreadable_document`, it is damaged, needs a password, or holds no text.
    """
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise unreadable("it needs a password")
        pages, size = list[str](), 0
        for page in reader.pages:
            pages.append(page.extract_text().strip())
            size += len(pages[-1])
            if size > MAX_CHARS:
                raise unreadable(f"it holds more than {MAX_CHARS:,} characters")
        title = str((reader.metadata and reader.metadata.title) or "")
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OSError) as error:
        raise unreadable(f"the PDF is damaged: {error}") from None
    if not any(pages):
        raise unreadable(f"its {len(pages)} pages hold no text: they may be pictures of it")
    return Parsed(text=_BETWEEN.join(pages), title=" ".join(title.split()), pages=_starts(pages))


def _starts(pages: list[str]) -> tuple[int, ...]:
    starts, at = list[int](), 0
    for page in pages:
        starts.append(at)
        at += len(page) + len(_BETWEEN)
    return tuple(starts)
