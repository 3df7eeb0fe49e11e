"""What is known of a tree that goes on: what has begun and not ended. It can be stored, and taken up where it was."""

import re

import msgspec

from callboard.traces.span import Event, Link
from callboard_contracts import ids
from callboard_contracts.units import MicroUsd

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MOST_EVENTS = 128
"""Of one span; the limit that OpenTelemetry proposes."""


class OpenCall(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A call that has no result yet."""

    tool: str
    turn: int
    asked_ms: int
    source: int
    """The sequence of the record that asked for it."""
    granted_ms: int = 0
    model: str = ""
    max_tokens: int = 0
    summarises: bool = False
    again: str = ""
    """The call that failed before and that this one makes again."""
    reserved: MicroUsd = 0
    unpriced: bool = False
    approved_by: tuple[str, ...] = ()
    edited: bool = False


class OpenRun(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run that goes on."""

    started_ms: int
    source: int
    """The sequence of its first record."""
    parent: str = ""
    """The run that asked for it."""
    skill: str = ""
    digest: str = ""
    model: str = ""
    principal: str = ""
    labels: dict[str, str] = {}
    links: tuple[Link, ...] = ()
    events: list[Event] = []
    dropped: int = 0

    def note(self, event: Event) -> None:
        """Note what happened; what is too much is counted."""
        if len(self.events) < _MOST_EVENTS:
            self.events.append(event)
        else:
            self.dropped += 1


class OpenRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A request to people that is not decided."""

    tool: str
    rule: str
    asked_ms: int
    source: int
    events: list[Event] = []


class Tree(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A tree whose records are folded into spans. `fold` changes it."""

    tenant: str
    tree: str
    trace_id: str
    parent_id: str = ""
    """The span that the goal came with."""
    sampled: bool | None = None
    """Whether the sender of the goal keeps its trace; None: it came without one."""
    runs: dict[str, OpenRun] = {}
    calls: dict[str, OpenCall] = {}
    requests: dict[str, OpenRequest] = {}
    closed: bool = False
    """The guard closed it."""

    @property
    def done(self) -> bool:
        """Whether nothing more can come of it."""
        return self.closed and not self.runs and not self.requests

    def continues(self, traceparent: str) -> None:
        """Go on with the trace of whoever sent the goal; what cannot be read is passed over."""
        if found := _TRACEPARENT.fullmatch(traceparent):
            self.trace_id, self.parent_id = found[1], found[2]
            self.sampled = bool(int(found[3], 16) & 1)


def begun(tenant: str, tree: str) -> Tree:
    """Return a tree of which nothing is known: its trace id is its ULID."""
    return Tree(tenant=tenant, tree=tree, trace_id=ids.trace_id(tree))


def run_span(run: str) -> str:
    """Return the span id of a run. A sub-agent has the id of the call that asked for it, whose span is another."""
    return ids.span_id(f"run {run}")


def request_span(call: str) -> str:
    """Return the span id of a request to people."""
    return ids.span_id(f"approval {call}")


def late_span(call: str) -> str:
    """Return the span id of a result that came after its call had been given up."""
    return ids.span_id(f"late {call}")
