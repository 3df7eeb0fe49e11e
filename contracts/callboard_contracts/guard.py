"""The tree: what the guard records. A grant is event and command in one message."""

from typing import Annotated, Any

import msgspec

from callboard_contracts import approval
from callboard_contracts.call import Call
from callboard_contracts.goal import Limits
from callboard_contracts.run import Settlement
from callboard_contracts.units import MicroUsd

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=8000)]
"""What a person says to models."""


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
    accepted: int = 0
    """The sequence of the run's first record."""
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
    approved: str = ""
    """The digest that people approved, when they had to; see `approval.binding`."""
    approved_by: tuple[str, ...] = ()
    """Who approved."""
    edited: bool = False
    """The arguments are those of a person, not those that the run proposed."""


class Refused(msgspec.Struct, tag="guard.refused.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The call may not run."""

    call: str
    tool: str
    code: str
    message: str
    ends: bool = False
    """The run is to end with it."""


class Held(msgspec.Struct, tag="guard.held.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Calls are neither granted nor refused yet; they reserve nothing, and every check is made when they go on."""

    run: str
    turn: int
    source: int
    """The journal sequence of the run's record that asked for them."""
    calls: tuple[str, ...]
    reason: str
    """`paused`, or `approval`: people must decide."""
    requests: tuple[approval.Request, ...] = ()
    """With `approval`: what they are asked, one for each call."""


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
    text: Words
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


class Decide(msgspec.Struct, tag="guard.decide.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Act on what people decided. Published by the approval service alone to the tree's `in.decided`."""

    call: str
    outcome: approval.Outcome
    """How the request ended."""
    digest: str
    """Of what was decided about; the guard makes it anew and refuses the call when it is another."""
    by: tuple[str, ...] = ()
    """Whose votes decided."""
    reason: str = ""
    edited: bool = False
    """The call is to run with `arguments` instead of those that were proposed."""
    arguments: Any = None
    """With `edited`: what is to run."""
    answer: Any = None
    """To a question: the answer."""


class Postponed(msgspec.Struct, tag="guard.postponed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """People approved a call of a run that is paused: it is decided when the run is resumed."""

    decision: Decide
    """What they decided."""


class Answered(msgspec.Struct, tag="guard.answered.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A person answered a question, which is the result of the call that asked it."""

    call: str
    answer: Any = None
    """The answer."""
    by: str = ""
    """Who answered."""


class Withdrawn(msgspec.Struct, tag="guard.withdrawn.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Nobody waits any more for what people were asked: a run ended, was cancelled, or gave the call up."""

    calls: tuple[str, ...]
    reason: str = ""


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run waits for people with."""

    run: str
    calls: tuple[str, ...] = ()
    """Its calls that wait for a person, themselves or in a sub-agent."""


class Waiting(msgspec.Struct, tag="guard.waiting.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The runs for which it changed what waits for a person. They are told: their clocks stand still meanwhile."""

    nth: int
    """How often that changed in the tree."""
    runs: tuple[Wait, ...]
    """Each of them, with all that waits now."""


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
Event = (
    Opened | Settled | Granted | Refused | Held | Postponed | Answered | Withdrawn | Waiting
    | Cancelled | Paused | Resumed | Steered | Closing | Armed | Closed
)  # fmt: skip
