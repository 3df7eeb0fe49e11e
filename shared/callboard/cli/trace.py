"""`callboard runs show RUN --trace`: a run's spans over time, from its records. No collector has to be there."""

import asyncio
import time
from collections.abc import Iterator

import msgspec
from rich.text import Text

from callboard import traces
from callboard.bus.message import rfc3339_ms
from callboard.cli import exits
from callboard.cli.story import brief, money, seconds
from callboard.cli.tables import columns, console, print_table
from callboard.cli.where import Reached, Where, reach
from callboard.client import Event
from callboard.traces import Span, Tree, otlp
from callboard.traces import names as n
from callboard_contracts import ids
from callboard_contracts.journal import Record

_QUIET_S = 1.0
"""A run that goes on has told all it has when it says nothing for so long."""
_BAR = 60
_LEAST_BAR = 12
_NAME = 44
_BESIDE = 40


async def show_trace(where: Where, run: str, *, json: bool) -> int:
    """Print a run's spans.

    :raises CallboardError: `unknown_run`.
    """
    from callboard.cli.runs import whole_id

    async with reach(where, only=("gateway", "ledger")) as reached:
        name = await whole_id(reached, run)
        if json:
            print((await body_of(reached, name)).decode(), flush=True)
        else:
            show(name, await spans_of(reached, name))
    return exits.OK


async def body_of(reached: Reached, run: str) -> bytes:
    """Return a run's spans as OTLP has them, in JSON.

    :raises CallboardError: `unknown_run`.
    """
    return otlp.encoded(otlp.traces({"service.name": "callboard"}, await spans_of(reached, run)))


async def spans_of(reached: Reached, run: str) -> list[Span]:
    """Return what ended in a run, and what has only begun, in the order in which it began.

    :raises CallboardError: `unknown_run`.
    """
    tree = traces.begun("", ids.tree_of(run))
    found: list[Span] = []
    over = (await reached.client.get(run)).ended
    events = reached.client.events(run)
    while True:
        try:
            async with asyncio.timeout(None if over else _QUIET_S):
                event = await anext(events)
        except (StopAsyncIteration, TimeoutError):
            break
        if event.id:
            found += _folded(tree, event)
    return sorted([*found, *traces.pending(tree)], key=lambda span: (span.start_ms, span.end_ms or _now_ms()))


def _folded(tree: Tree, event: Event) -> list[Span]:
    tree.tenant = str(event.data["subject"]).split(".")[1]
    record = msgspec.convert({"causes": (), "events": event.data["events"]} | {"type": "journal.record.v1"}, Record)
    return traces.fold(tree, traces.At(str(event.data["run"]), event.id, rfc3339_ms(event.data["time"])), record)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def show(run: str, found: list[Span]) -> None:
    """Print a picture of spans, which are in the order in which they began."""
    shown = console()
    if not found:
        shown.print(f"Nothing of {run} is recorded yet.")
        return
    since, until = found[0].start_ms, max(span.end_ms or _now_ms() for span in found)
    shown.print(
        Text.assemble(
            ("trace ", "dim"), found[0].trace_id, (f"  {len(found)} spans over {_took(until - since)}", "dim")
        )
    )
    rows = list(_rows(found))
    names = min(_NAME, max(len(indent) + len(span.name) for indent, span in rows))
    width = min(_BAR, max(_LEAST_BAR, shown.width - names - _BESIDE))
    table = columns("SPAN", "TOOK", "", "", right=("TOOK",))
    for indent, span in rows:
        name = Text(brief(indent + span.name, names) if len(indent + span.name) > names else indent + span.name)
        table.add_row(name, _lasted(span), _bar(span, since, until, width), _about(span))
        for event in span.events:
            mark = " " * _column(event.time_ms, since, until, width) + "◆"
            table.add_row(
                Text(f"{indent}  · {event.name.removeprefix('callboard.')}", "yellow"), "", Text(mark, "yellow")
            )
    print_table(table)


def _rows(found: list[Span]) -> Iterator[tuple[str, Span]]:
    """Yield spans below the ones they happened within, in the order in which they began."""
    known = {span.span_id for span in found}
    below: dict[str, list[Span]] = {}
    for span in found:
        below.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)

    def walk(parent: str, depth: int) -> Iterator[tuple[str, Span]]:
        for span in below.get(parent, ()):
            yield "  " * depth, span
            yield from walk(span.span_id, depth + 1)

    yield from walk("", 0)


def _bar(span: Span, since: int, until: int, width: int) -> Text:
    first = _column(span.start_ms, since, until, width)
    last = _column(span.end_ms or until, since, until, width)
    style = "red" if span.error else {"client": "cyan"}.get(span.kind, "green")
    drawn = "▏" if last == first else "█" * (last - first)
    return Text(" " * first + drawn + ("" if span.end_ms else "▸"), style if span.end_ms else f"{style} dim")


def _column(time_ms: int, since: int, until: int, width: int) -> int:
    return round((time_ms - since) * (width - 1) / max(1, until - since))


def _lasted(span: Span) -> str:
    return _took(span.end_ms - span.start_ms) if span.end_ms else f"{_took(_now_ms() - span.start_ms)}…"


def _took(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else seconds(milliseconds / 1000)


def _about(span: Span) -> Text:
    """Return what a span is worth a glance: its error, its tokens, what it cost."""
    tokens = f"{span.attributes[n.INPUT_TOKENS]}→{span.attributes[n.OUTPUT_TOKENS]} tokens" if _chatted(span) else ""
    cost = span.attributes.get(n.COST, 0)
    outcome = span.attributes.get("callboard.outcome", "")
    by = span.attributes.get("callboard.decided_by", ())
    decided = f"{outcome} by {', '.join(by)}" if outcome and isinstance(by, tuple) and by else str(outcome)
    parts = [tokens, money(cost) if isinstance(cost, int) and cost else "", decided if not span.error else ""]
    return Text.assemble((span.error, "red"), " " if span.error else "", ("  ".join(filter(None, parts)), "dim"))


def _chatted(span: Span) -> bool:
    return bool(span.attributes.get(n.INPUT_TOKENS) or span.attributes.get(n.OUTPUT_TOKENS))
