"""The tree: what the guard records. A grant is event and command in one message."""

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


class Refused(msgspec.Struct, tag="guard.refused.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The call may not run."""

    call: str
    tool: str
    code: str
    message: str


class Cancel(msgspec.Struct, tag="guard.cancel.v1", frozen=True, kw_only=True, omit_defaults=True):
    """End a run and all its descendants. Published by the gateway to the tree's `in.control`."""

    run: str
    reason: str = ""
    principal: str = ""


class Cancelled(msgspec.Struct, tag="guard.cancelled.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A run and its descendants get no further grant; each of them that is open is told to end."""

    run: str
    reason: str = ""
    principal: str = ""
    open: tuple[str, ...] = ()
    """The runs that are told."""


class Closed(msgspec.Struct, tag="guard.closed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A run of the tree ended; for the root, so did the tree, and this is its bill."""

    run: str
    committed_micro_usd: MicroUsd = 0
    tokens: int = 0
    calls: int = 0


Event = Opened | Settled | Granted | Refused | Cancelled | Closed
