"""A web page as Markdown: its headings, paragraphs, lists, tables and code, without what only browsers need. Pure."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from callboard_services.memory.ingest.parsed import Parsed, unreadable

if TYPE_CHECKING:
    from bs4 import Tag

_DROPPED = (
    "script", "style", "noscript", "template", "svg", "canvas", "iframe", "object", "form", "button", "nav", "footer",
    "aside", "head", "dialog",
)  # fmt: skip
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BLOCKS = frozenset({
    "address", "article", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption", "figure",
    "header", "hr", "html", "li", "main", "ol", "p", "section", "summary", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "ul",
})  # fmt: skip


def parse(text: str) -> Parsed:
    """Return the text of a page.

    :raises CallboardError: `unreadable_document`, it is nested too deep.
    """
    from bs4 import BeautifulSoup

    try:
        soup = BeautifulSoup(text, "html.parser")
        title = _line(soup.title) if soup.title else ""
        for tag in soup.find_all(_hidden):
            tag.decompose()
        root = soup.find("main") or soup.find("article") or soup.body or soup
        blocks = [block for block in _blocks(root) if block.strip()]
    except RecursionError:
        raise unreadable("its elements are nested too deep") from None
    first = soup.find("h1")
    return Parsed(text="\n\n".join(blocks), form="markdown", title=title or (_line(first) if first else ""))


def _hidden(tag: "Tag") -> bool:
    if tag.name in _DROPPED or tag.has_attr("hidden") or tag.get("aria-hidden") == "true":
        return True
    style = str(tag.get("style") or "").replace(" ", "").lower()
    return "display:none" in style or "visibility:hidden" in style


def _blocks(tag: Any) -> Iterator[str]:
    """Yield the blocks of an element in order; what stands between its inner blocks is a block of its own."""
    inline: list[str] = []
    for child in tag.children:
        name = getattr(child, "name", None)
        if name is None:
            inline += [str(child)] if type(child).__name__ == "NavigableString" else []
        elif name in _HEADINGS or name in _BLOCKS or name == "pre" or _holds_blocks(child):
            yield _joined(inline)
            inline = []
            yield from _block(child, name)
        else:
            inline.append("\n" if name == "br" else child.get_text())
    yield _joined(inline)


def _block(tag: Any, name: str) -> Iterator[str]:
    if name in _HEADINGS:
        yield f"{_HEADINGS[name]} {_line(tag)}"
    elif name == "pre":
        yield f"```\n{tag.get_text().strip(chr(10))}\n```"
    elif name == "table":
        yield "\n".join(_row(row) for row in tag.find_all("tr"))
    elif name in ("ul", "ol"):
        items = tag.find_all("li", recursive=False)
        yield "\n".join(f"- {' '.join(' '.join(_blocks(item)).split())}" for item in items)
    else:
        yield from _blocks(tag)


def _row(row: Any) -> str:
    return " | ".join(_line(cell) for cell in row.find_all(("td", "th")))


def _holds_blocks(tag: Any) -> bool:
    return tag.find(lambda inner: inner.name in _HEADINGS or inner.name in _BLOCKS or inner.name == "pre") is not None


def _line(tag: Any) -> str:
    return " ".join(tag.get_text(" ").split())


def _joined(inline: list[str]) -> str:
    """Return running text: white space is one space, and a break of the line stays one."""
    return "\n".join(" ".join(line.split()) for line in "".join(inline).split("\n") if line.strip())
