"""A row as it is shown to those who recall it. Pure."""

from typing import Any

import msgspec

from callboard_contracts import memory

Row = dict[str, Any]


class Hit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row that was found. `score` orders one answer, and compares with no other."""

    id: str
    kind: memory.Kind
    text: str
    title: str = ""
    score: float = 0.0
    citation: str
    source: str
    place: memory.Place = memory.Place()
    trust: memory.Trust
    scope: memory.Scope
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    skill: str = ""
    run: str = ""
    principal: str = ""
    at_ms: int
    derived_from: tuple[str, ...] = ()
    """Everything else that it comes from."""


def hit(row: Row) -> Hit:
    """Return a row as it is shown."""
    place = msgspec.json.decode(row["place"], type=memory.Place)
    known = {name: row[name] for name in Hit.__struct_fields__ if name in row}
    known |= {"place": place, "labels": msgspec.json.decode(row["labels"]), "tags": tuple(row["tags"])}
    others = tuple(source for source in row["sources"] if source != row["source"])
    return Hit(**known, citation=citation(row, place), derived_from=others)


def citation(row: Row, place: memory.Place) -> str:
    """Return where a text stands, in words: `terms.pdf, page 2, "Payment", line 14`."""
    parts = [row["source"]]
    if place.page:
        parts.append(f"page {place.page}")
    if place.heading:
        parts.append(f'"{place.heading}"')
    if place.line:
        parts.append(f"line {place.line}")
    return ", ".join(parts)
