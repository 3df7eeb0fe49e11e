"""How messages travel: CloudEvents in binary mode with the few headers that say something, and a JSON body.

`ce-id` follows from the cause, `ce-type` names the struct and its version. `ce-source` and `ce-specversion` are
constant (`callboard`, `1.0`) and therefore not repeated in every message: see contracts/asyncapi.json.
"""

from typing import Any, Final, TypeVar, overload

import msgspec

from callboard_contracts import (
    approval,
    audit,
    call,
    dead,
    goal,
    guard,
    journal,
    live,
    memory,
    model,
    notice,
    policy,
    run,
    skill,
    tool,
)

ID: Final = "ce-id"
TYPE: Final = "ce-type"
TRACE: Final = "traceparent"
FENCE: Final = "Nats-Expected-Last-Subject-Sequence"
FENCE_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
SCHEDULE: Final = "Nats-Schedule"
SCHEDULE_TARGET: Final = "Nats-Schedule-Target"

READING: Final = frozenset({"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Num-Pending", "Nats-Last-Sequence"})
"""Headers that a direct get adds, which say how a message was read. Its exact time, `Nats-Time-Stamp`, is not one."""
INLINE_BYTES: Final = 32 * 1024
"""A value larger than this goes to the blob store; the record carries its digest."""

MESSAGES: Final[tuple[type[msgspec.Struct], ...]] = (
    goal.Submit,
    goal.Delegate,
    run.Accepted,
    run.Refused,
    run.Took,
    run.Noted,
    run.Called,
    run.Deferred,
    run.Paused,
    run.Resumed,
    run.Parked,
    run.Steered,
    run.Retried,
    run.Armed,
    run.Ended,
    run.Cancel,
    run.Pause,
    run.Resume,
    run.Park,
    run.Steer,
    run.Retry,
    run.Wake,
    guard.Opened,
    guard.Settled,
    guard.Granted,
    guard.Refused,
    guard.Held,
    guard.Postponed,
    guard.Answered,
    guard.Withdrawn,
    guard.Waiting,
    guard.Cancel,
    guard.Pause,
    guard.Resume,
    guard.Steer,
    guard.Decide,
    guard.Cancelled,
    guard.Paused,
    guard.Resumed,
    guard.Steered,
    guard.Closing,
    guard.Armed,
    guard.Closed,
    approval.Request,
    approval.Vote,
    approval.Withdraw,
    approval.Requested,
    approval.Voted,
    approval.VoteRefused,
    approval.Reminded,
    approval.Escalated,
    approval.Armed,
    approval.Decided,
    journal.Record,
    call.Completed,
    call.Failed,
    call.Refused,
    call.Lost,
    model.Request,
    model.Answer,
    model.Summary,
    model.Prompt,
    tool.Spec,
    tool.Entry,
    skill.Skill,
    skill.Current,
    policy.Policy,
    live.Chunk,
    live.Progress,
    dead.Letter,
    audit.Checkpoint,
    notice.Approval,
    notice.Spend,
    memory.Remembered,
    memory.Ingested,
    memory.Part,
    memory.Forgotten,
    memory.Read,
    memory.Quarantined,
    memory.Released,
)
"""Every message that is said, once."""

T = TypeVar("T")
_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def type_of(message: type[msgspec.Struct]) -> str:
    """Return the wire type of a message's class: `guard.Granted` → `guard.granted.v1`."""
    return str(message.__struct_config__.tag)


def encode(value: object) -> bytes:
    """Return a message's body, or any plain value as JSON."""
    return _encoder.encode(value)


@overload
def decode(body: bytes, type_: type[T]) -> T: ...
@overload
def decode(body: bytes, type_: Any) -> Any: ...
def decode(body: bytes, type_: Any) -> Any:
    """Read a body as a message, or as one of a union of messages.

    :raises msgspec.DecodeError: not JSON. :raises msgspec.ValidationError: JSON of another shape.
    """
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.json.Decoder(type_)
    try:
        return decoder.decode(body)
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deep") from None
