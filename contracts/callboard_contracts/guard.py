"""The tree: what the guard records. A grant is event and command in one message."""

from typing import Annotated

import msgspec

from callboard_contracts.call import Call
from callboard_contracts.goal import Limits
from callboard_contracts.run import Settlement
from callboard_contracts.units import MicroUsd


class Opened(msgspec.Struct, tag="guard.opened.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A run of the tree is known to the guard; for the root, its limits are the envelope of the tree."""

    run: str
    limits: Limits
    tools: tuple[str, ...] | None = None
    """The tools it may use, never more than its parent may; absent: every tool."""
    parent: str = ""
    skill_digest: str = ""
    traceparent: str = ""
    """The trace that the goal came with, when it came with one."""
    paused: int = 0
    """The number of the pause that is in force for it, of which the run is told; 0: none."""
    resumed: int = 0
    """The number of the last pause or resumption when none is in force: an older one may still reach the run."""


class Settled(msgspec.Struct, tag="guard.settled.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Reservations became costs: each call's reservation is released and what it cost is committed."""

    entries: tuple[Settlement, ...]


class Granted(msgspec.Struct, tag="guard.granted.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The call may run, once, before it expires. Executors of the tool pull this very message."""

    call: Call
    source: int
    """The journal sequence of the run's record that asked for it."""
    expires_ms: int
    """After this time (ms since 1970) it must not be started."""
    reserved_micro_usd: MicroUsd = 0
    reserved_tokens: int = 0
    unpriced: bool = False
    skill_digest: str = ""
    depth: int = 0
    traceparent: str = ""
    """The trace that the goal came with; absent: the trace id is the 128 bits of the tree's ULID."""


class Refused(msgspec.Struct, tag="guard.refused.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The call may not run."""

    call: str
    tool: str
    code: str
    message: str


class Held(msgspec.Struct, tag="guard.held.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Calls are neither granted nor refused yet; they reserve nothing, and every check is made when they go on."""

    run: str
    turn: int
    source: int
    """The journal sequence of the run's record that asked for them."""
    calls: tuple[str, ...]
    reason: str
    """`paused`."""


class Cancel(msgspec.Struct, tag="guard.cancel.v1", frozen=True, kw_only=True, omit_defaults=True):
    """End a run and all its descendants. Published by the gateway to the tree's `in.control`."""

    run: str
    reason: str = ""
    principal: str = ""


class Pause(msgspec.Struct, tag="guard.pause.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Stop a run and its descendants at their next step. Published by the gateway to the tree's `in.control`."""

    run: str
    reason: str = ""
    principal: str = ""


class Resume(msgspec.Struct, tag="guard.resume.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Let a run that was paused go on, with its descendants. Published by the gateway to the tree's `in.control`."""

    run: str
    principal: str = ""


class Steer(msgspec.Struct, tag="guard.steer.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Tell the models of a run and its descendants something. Published by the gateway to the tree's `in.control`."""

    run: str
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=8000)]
    principal: str = ""


class Cancelled(msgspec.Struct, tag="guard.cancelled.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A run and its descendants get no further grant; each of them that is open is told to end."""

    run: str
    reason: str = ""
    principal: str = ""
    open: tuple[str, ...] = ()
    """The runs that are told."""


class Paused(msgspec.Struct, tag="guard.paused.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A run and its descendants get no grant until it is resumed."""

    id: str
    """The `ce-id` of the wish: said again, it changes nothing."""
    run: str
    nth: int
    """How many pauses and resumptions the tree has had, with this one."""
    reason: str = ""
    principal: str = ""
    open: tuple[str, ...] = ()
    """The runs that are told."""


class Resumed(msgspec.Struct, tag="guard.resumed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A run and its descendants go on; what was held is decided in the same record."""

    id: str
    run: str
    nth: int
    """How many pauses and resumptions the tree has had, with this one."""
    principal: str = ""
    open: tuple[str, ...] = ()
    """The runs that are told."""


class Steered(msgspec.Struct, tag="guard.steered.v1", frozen=True, kw_only=True, omit_defaults=True):
    """What a person said to a run and its descendants."""

    id: str
    run: str
    text: str
    principal: str = ""
    open: tuple[str, ...] = ()
    """The runs that are told."""


class Closing(msgspec.Struct, tag="guard.closing.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A run ended while calls had not answered. Their late results still settle, until a time (ms since 1970)."""

    run: str
    until_ms: int
    calls: tuple[str, ...] = ()


class Armed(msgspec.Struct, tag="guard.armed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The tree's one timer is set (ms since 1970)."""

    at_ms: int


class Closed(msgspec.Struct, tag="guard.closed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A run of the tree ended and is settled; for the root, so is the tree, and this is its bill."""

    run: str
    committed_micro_usd: MicroUsd = 0
    tokens: int = 0
    calls: int = 0


Control = Cancel | Pause | Resume | Steer
"""What may be said to a tree."""
Event = Opened | Settled | Granted | Refused | Held | Cancelled | Paused | Resumed | Steered | Closing | Armed | Closed
