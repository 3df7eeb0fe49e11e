"""The run: what the planner records, and what can be said to a run."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from callboard_contracts import names
from callboard_contracts.call import Call
from callboard_contracts.goal import Submit
from callboard_contracts.units import MicroUsd

Status = Literal["running", "completed", "failed", "unachievable", "cancelled", "refused"]

Settlement = tuple[str, MicroUsd, int]
"""A call, what it cost, and the tokens it used."""

IN_FULL = -1
"""A settlement's cost when nobody knows it: the guard commits the whole reservation."""

BYTES_PER_TOKEN = 3
"""How many bytes of a prompt are estimated to make a token."""
_PER_RESULT = 20


class Accepted(msgspec.Struct, tag="run.accepted.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The first record of a run: the goal as it was taken, with everything that was looked up for it, pinned."""

    goal: Submit
    goal_digest: str
    contract: dict[str, Any]
    tools: tuple[str, ...] | None = None
    """The tools it may use; absent: every tool that is offered at the time."""
    model: str
    skill: str = ""
    skill_digest: str = ""
    parent: str = ""
    """The run that asked for this one; this run's id is the call's id."""
    deadline_ms: int
    """When its wall time is over, ms since 1970."""
    traceparent: str = ""


class Refused(msgspec.Struct, tag="run.refused.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The first and only record of a run that could not be started."""

    code: str
    message: str
    skill: str = ""
    parent: str = ""
    goal_digest: str = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One result as the run took it. The output stays where it is: the journal's message `seq`."""

    call: str
    tool: str
    status: Literal["completed", "failed", "refused", "lost"]
    seq: int
    cost_micro_usd: MicroUsd = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: bool = False
    duration_ms: int = 0
    bytes: int = 0
    """The size of the output, for estimating the next prompt."""
    model: str = ""
    code: str = ""
    message: str = ""
    late: bool = False
    """It came after the run had given the call up: it is booked and causes nothing."""
    context_tokens: int = 0
    """Of a question that was to summarise the run, and not the run's next step: an estimate of the next prompt."""
    estimated: bool = False
    """Nobody learned what was used: what was reserved is charged."""
    price: tuple[MicroUsd, MicroUsd] | None = None
    """What a model's tokens were charged at, in micro-US-dollars per million: those of the prompt, those of the answer.

    Absent when nothing was charged by tokens.
    """


def settlement(taken: Taken) -> Settlement:
    """Return what a result costs the tree; one that never came costs all that was reserved for it."""
    cost = IN_FULL if taken.code == "call_timeout" and taken.status == "lost" else taken.cost_micro_usd
    return (taken.call, cost, taken.input_tokens + taken.output_tokens)


def prompt_after(tokens: int, results: Iterable[Taken]) -> int:
    """Return an estimate, in tokens, of a prompt after results: the model's own count where it gave one.

    What came late is in no prompt.
    """
    for taken in results:
        if taken.late:
            continue
        if taken.context_tokens:
            tokens = taken.context_tokens
        elif taken.tool == names.MODEL and taken.input_tokens:
            tokens = taken.input_tokens + taken.output_tokens
        else:
            tokens += _PER_RESULT + taken.bytes // BYTES_PER_TOKEN
    return tokens


def is_turn(taken: Taken) -> bool:
    """Tell whether a result is what people count as a turn: the model's word on the run's next step, or its failure."""
    step = taken.tool == names.MODEL and not taken.late and not taken.context_tokens
    return step and taken.status != "refused"  # then it never reached the model


class Took(msgspec.Struct, tag="run.took.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Observe: results arrived."""

    results: tuple[Taken, ...]


class Noted(msgspec.Struct, tag="run.noted.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Evaluate: what the model must read before its next answer, such as why its last one was not accepted."""

    text: str
    code: str = ""


class Called(msgspec.Struct, tag="run.called.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Act: calls are proposed to the guard."""

    turn: int
    at_ms: int
    """When it was decided, from which the calls' deadlines follow."""
    calls: tuple[Call, ...]
    settled: tuple[Settlement, ...] = ()
    """Of results that earlier records took; what this one took stands in it already."""


def asks_model(event: object) -> bool:
    """Tell whether an event asks the run's model."""
    return isinstance(event, Called) and any(call.tool == names.MODEL for call in event.calls)


def summarises(call: Call) -> bool:
    """Tell whether a call is to sum up the run's older steps: its answer is no step of the run."""
    return call.tool == names.MODEL and isinstance(call.arguments, dict) and call.arguments.get("summarise") is True


class Deferred(msgspec.Struct, tag="run.deferred.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The model is to be asked again, but not before a time (ms since 1970): it could not answer just now."""

    until_ms: int
    code: str = ""
    message: str = ""


class Paused(msgspec.Struct, tag="run.paused.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The run takes results and begins nothing. Its clocks stand still."""

    at_ms: int
    nth: int
    """The number of this pause or resumption in the tree: an older one that comes later changes nothing."""
    reason: str = ""
    principal: str = ""


class Resumed(msgspec.Struct, tag="run.resumed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The run goes on. Its deadlines moved by the time it was paused."""

    at_ms: int
    nth: int
    """The number of this pause or resumption in the tree."""
    principal: str = ""


class Parked(msgspec.Struct, tag="run.parked.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Which calls wait for a person: their clocks stand still, and the run's own as long as there are any."""

    at_ms: int
    nth: int
    """The number of this word in the tree: an older one that comes later changes nothing."""
    calls: tuple[str, ...] = ()
    """All of them; none: the run goes on."""


class Steered(msgspec.Struct, tag="run.steered.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A person said something that the model reads before its next answer counts."""

    id: str
    """The `ce-id` of the wish."""
    text: str
    principal: str = ""


class Retried(msgspec.Struct, tag="run.retried.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A person wants a call that failed to be made again; it is proposed at the next step."""

    id: str
    """The `ce-id` of the wish."""
    call: str
    tool: str
    arguments: Any = None
    arguments_ref: str = ""
    """The digest of the arguments in the blob store when they are over 32 KiB; then `arguments` is absent."""
    timeout_s: float = 60.0
    principal: str = ""


class Armed(msgspec.Struct, tag="run.armed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The run's one timer is set to its earliest deadline (ms since 1970)."""

    at_ms: int


class Ended(msgspec.Struct, tag="run.ended.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The last record of a run."""

    status: Status
    output: Any = None
    output_ref: str = ""
    code: str = ""
    """Why, from the error catalogue; empty when completed."""
    reason: str = ""
    turns: int = 0
    """How often the model was asked."""
    calls: int = 0
    cost_micro_usd: MicroUsd = 0
    """This run's own calls; the tree's sum is the guard's."""
    settled: tuple[Settlement, ...] = ()
    open: tuple[str, ...] = ()
    """Calls that had not answered."""


class Cancel(msgspec.Struct, tag="run.cancel.v1", frozen=True, kw_only=True, omit_defaults=True):
    """End the run: from a person, through the guard."""

    reason: str = ""
    principal: str = ""


class Pause(msgspec.Struct, tag="run.pause.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Stop at the next step: from a person, through the guard."""

    nth: int
    """The number of this pause or resumption in the tree."""
    reason: str = ""
    principal: str = ""


class Resume(msgspec.Struct, tag="run.resume.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Go on: from a person, through the guard."""

    nth: int
    """The number of this pause or resumption in the tree."""
    principal: str = ""


class Park(msgspec.Struct, tag="run.park.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Tell which calls wait for a person, themselves or in a sub-agent: from the guard."""

    nth: int
    """The number of this word in the tree."""
    calls: tuple[str, ...] = ()
    """All of them; none: the run goes on."""


class Steer(msgspec.Struct, tag="run.steer.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Tell the model something: from a person, through the guard."""

    text: str
    principal: str = ""


class Retry(msgspec.Struct, tag="run.retry.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Make a call again that failed. Published by the gateway to the run's `in.signal`."""

    call: str
    source: int
    """The sequence of the run's record that asked for it."""
    principal: str = ""


class Wake(msgspec.Struct, tag="run.wake.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The actor's one timer came due. A timer that the state does not expect is ignored."""


Event = (
    Accepted | Refused | Took | Noted | Called | Deferred
    | Paused | Resumed | Parked | Steered | Retried | Armed | Ended
)  # fmt: skip
Signal = Cancel | Pause | Resume | Park | Steer | Retry | Wake
