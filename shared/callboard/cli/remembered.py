"""What `callboard memory` shows: rows with their citations, sources, traces, and how the tables are."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

Row = dict[str, Any]

_TRUST = {"person": "green", "agent": "cyan", "tool": "yellow", "web": "yellow"}
_MOST_LINES = 4
_MINUTE_MS = 60_000
_AGES = ((365 * 1440, "y"), (30 * 1440, "mo"), (1440, "d"), (60, "h"), (1, "m"))
_KNOWN = (
    ("id", "id"), ("kind", "kind"), ("title", "title"), ("source", "source"), ("workspace", "workspace"),
    ("principal", "for"), ("run", "run"), ("call", "call"), ("skill", "skill"), ("embedder", "embedder"),
)  # fmt: skip


def found(rows: list[Row]) -> None:
    """Show what was found, the best first."""
    for row in rows:
        _head(row)
        _text(str(row["text"]))


def preferences(rows: list[Row]) -> None:
    """Show what somebody prefers."""
    console = _console()
    for row in rows:
        console.print(Text.assemble("• ", row["text"], (f"  {_by(row)} · {row['id']}", "dim")))


def preferred(rows: list[Row]) -> None:
    """Tell that a preference is known from now on."""
    _console().print(Text("Every run of yours is told from now on."))
    _console().print(Text(f"To forget it: callboard memory forget {rows[0]['id']}", "dim"))


def sources(rows: list[Row]) -> None:
    """Show sources, the newest first."""
    from callboard.cli.tables import columns, print_table

    table = columns("SOURCE", "KIND", "ROWS", "TRUST", "SEEN BY", "WHEN", right=("ROWS",), free="SOURCE")
    for row in rows:
        name = Text(row["source"], "" if not row.get("quarantined") else "strike dim")
        name.append("  quarantined" if row.get("quarantined") else "", "red")
        trust = Text(row["trust"], _TRUST.get(row["trust"], ""))
        table.add_row(name, row["kind"], f"{row['rows']:,}", trust, _seen_by(row), _age(row["at_ms"]))
    print_table(table)


def rows(found: list[Row]) -> None:
    """Show rows whole: one with everything that is known of it, the chunks of a document one after the other."""
    if len(found) == 1:
        _row(found[0])
        return
    for each in found:
        _head(each)
        _console().print(Text(each["text"]))
        _console().print()


def _row(one: Row) -> None:
    console = _console()
    for key, name in _KNOWN:
        if one.get(key):
            console.print(Text.assemble((f"{name:<10}", "dim"), str(one[key])))
    console.print(Text.assemble(("seen by   ", "dim"), _seen_by(one)))
    console.print(Text.assemble(("trust     ", "dim"), (one["trust"], _TRUST.get(one["trust"], ""))))
    console.print(Text.assemble(("when      ", "dim"), _when(one["at_ms"])))
    for name, values in (("place", _place(one)), ("tags", ", ".join(one.get("tags") or ()))):
        if values:
            console.print(Text.assemble((f"{name:<10}", "dim"), values))
    for name, value in sorted((one.get("labels") or {}).items()):
        console.print(Text.assemble((f"{name:<10}", "dim"), str(value)))
    console.print()
    console.print(Text(one["text"]))


def trace(rows: list[Row]) -> None:
    """Show what a source led to."""
    console, one = _console(), rows[0]
    state = ("  quarantined", "red") if one.get("quarantined") else ""
    console.print(Text.assemble((one["source"], "bold"), state))
    console.print(Text(f"\nWhat comes from it ({len(one['rows'])}):" if one["rows"] else "\nNo row comes from it."))
    for each in one["rows"]:
        derived = "" if each["direct"] else "  derived"
        console.print(Text.assemble("  ", each["id"], (f"  {each['kind']}{derived}  ", "dim"), _brief(each)))
    last = {each["run"]: each for each in one["reads"]}
    console.print(Text(f"\nRuns that read it ({len(one['runs'])}):" if one["runs"] else "\nNo run read it."))
    for name in one["runs"]:
        each = last[name]
        about = " · ".join(part for part in (each["skill"], each["principal"], _when(each["at_ms"])) if part)
        console.print(Text.assemble("  ", name, (f"  {about}", "dim")))


def quarantine(rows: list[Row]) -> None:
    """Tell what is hidden now, or shown again."""
    one = rows[0]
    said = "hidden from every run" if one.get("quarantined") else "shown again"
    _console().print(Text(f"{one['source']} is {said}, with all that was derived from it."))


def forgotten(rows: list[Row]) -> None:
    """Tell what is gone."""
    count = rows[0].get("rows", 1)
    _console().print(Text(f"Forgotten: {count:,} row{'' if count == 1 else 's'}."))


def stats(rows: list[Row]) -> None:
    """Tell how much is remembered, how the tables are, and what to do."""
    console, one = _console(), rows[0]
    for name, told, style in (*_counted(one), *_standing(one)):
        if told:
            console.print(Text.assemble((f"{name:<14}", "dim"), (told, style)), soft_wrap=True)


def _counted(one: Row) -> Iterator[tuple[str, str, str]]:
    """Yield what is remembered. While the tables are being built nothing is counted."""
    if "rows" not in one:
        return
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(one["kinds"].items()))
    yield "rows", f"{one['rows']:,}" + (f" ({kinds})" if kinds else ""), ""
    yield "documents", f"{one['documents']:,}", ""
    yield "read by runs", _times(one["reads"]), ""
    yield "quarantined", ", ".join(one["quarantined"]), "red"


def _standing(one: Row) -> Iterator[tuple[str, str, str]]:
    """Yield how the tables are."""
    if one["building"]:
        yield "tables", f"being built: {one['position']:,} of {one['last']:,} messages are in them", "yellow"
    elif "rows" not in one:
        yield "tables", "none: nothing is remembered yet", ""
    else:
        yield "tables", "in use" if one["indexed"] else "in use; the newest rows are indexed in a few seconds", ""
    yield "in", one["folder"], ""
    yield "vectors by", one["embedder"], ""
    yield "made anew", f"{_vectors(one['embedded'])} by the last rebuild" if one["embedded"] else "", ""
    if outdated := one.get("outdated", 0):
        advice = "found by their words alone until `callboard memory rebuild` makes them anew"
        yield "outdated", f"{_vectors(outdated)} of another embedder: {advice}", "yellow"


def _times(count: int) -> str:
    return "never" if not count else "once" if count == 1 else f"{count:,} times"


def _vectors(count: int) -> str:
    return f"{count:,} vector{'' if count == 1 else 's'}"


def _head(one: Row) -> None:
    where = one.get("title") or one["source"]
    place = _place(one)
    _console().print(
        Text.assemble(
            (str(where), "bold"), (f"  {place}" if place else "", ""),
            (f"  {one['kind']} · ", "dim"), (one["trust"], _TRUST.get(one["trust"], "")),
            (f" · {_age(one['at_ms'])} · {one['id']}", "dim"),
        )
    )  # fmt: skip


def _text(text: str) -> None:
    lines = [line for line in text.split("\n") if line.strip()]
    cut = [*lines[:_MOST_LINES], "…"] if len(lines) > _MOST_LINES else lines
    for line in cut:
        _console().print(Text(f"    {line}"))
    _console().print()


def _place(one: Row) -> str:
    """Return where a row stands in its source, as a citation."""
    place = one.get("place") or {}
    first, last = place.get("line", 0), place.get("line_to", 0)
    lines = (f"line {first}" if last in (0, first) else f"lines {first}–{last}") if first else ""
    page = f"page {place['page']}" if place.get("page") else ""
    return ", ".join(part for part in (place.get("heading", ""), page, lines) if part)


def _seen_by(one: Row) -> str:
    scope, owner = one["scope"], one.get("owner") or ""
    return f"{scope} {owner}".strip() if scope != "workspace" else one.get("workspace") or "workspace"


def _by(one: Row) -> str:
    return "you said so" if one["trust"] == "person" else f"noted by an agent, {one.get('run') or 'in a run'}"


def _brief(one: Row) -> str:
    text = " ".join(str(one.get("text") or "").split())
    return text if len(text) <= 80 else text[:79] + "…"


def _age(at_ms: int) -> str:
    minutes = int(time.time() * 1000 - at_ms) // _MINUTE_MS
    return next((f"{minutes // unit}{word} ago" for unit, word in _AGES if minutes >= unit), "just now")


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _console() -> Console:
    from callboard.cli.tables import console

    return console()
