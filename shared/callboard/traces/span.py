"""A span as it is built from records: plain values, before any wire form."""

from typing import Literal

import msgspec

Value = str | int | float | bool | tuple[str, ...]
Attributes = dict[str, Value]


class Event(msgspec.Struct, frozen=True):
    """Something that happened within a span."""

    name: str
    time_ms: int
    """In ms since 1970."""
    attributes: Attributes = {}


class Link(msgspec.Struct, frozen=True):
    """Another span that has to do with this one."""

    trace_id: str
    span_id: str
    attributes: Attributes = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One run, call or request to people, from its first record to its last. Times are the broker's, ms since 1970."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    """The span it happened within; empty: none."""
    name: str
    kind: Literal["internal", "client"] = "internal"
    start_ms: int
    end_ms: int = 0
    """0: it has not ended."""
    attributes: Attributes
    events: tuple[Event, ...] = ()
    dropped_events: int = 0
    links: tuple[Link, ...] = ()
    error: str = ""
    """The code of what went wrong; empty: nothing did."""
    sampled: bool | None = None
    """Whether the sender of the goal keeps its trace; None: it came without one."""
    source: int = 0
    """The sequence of the record that asked for it, where its contents are."""
    result: int = 0
    """The sequence of the message that ended it."""
    duration_ms: int = 0
    """How long whoever ran it says that it took; 0: nobody said."""
