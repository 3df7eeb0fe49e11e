"""A call is one thing to do; a result is what came back. Nobody runs a call without the guard's grant."""

from typing import Any, Final

import msgspec

from callboard_contracts.units import MicroUsd

TIMEOUT_S: Final = 60.0
"""How long a call may take that says nothing else."""


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to do, as the planner proposes it. Its id is its idempotency key."""

    id: str
    tool: str
    arguments: Any = None
    arguments_ref: str = ""
    """The digest of the arguments in the blob store when they are over 32 KiB; then `arguments` is absent."""
    timeout_s: float = TIMEOUT_S
    again: str = ""
    """The call that failed and that a person had made again, with the same arguments, as this one."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call used. `unpriced` says that its price is not known, so its cost of 0 is not to be believed."""

    cost_micro_usd: MicroUsd = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: bool = False
    estimated: bool = False
    """The executor did not learn what was used; this is the reservation."""
    model: str = ""
    duration_ms: int = 0
    prompt: str = ""
    """Of a question to a model: the digest of what was sent, 16 hexadecimal digits."""
    price: tuple[MicroUsd, MicroUsd] | None = None
    """What a model's tokens were charged at, in micro-US-dollars per million: those of the prompt, those of the answer.

    Absent when nothing was charged by tokens.
    """


class Completed(msgspec.Struct, tag="call.completed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The call did what it should."""

    call: str
    output: Any = None
    output_ref: str = ""
    """The digest of the output in the blob store when it is over 32 KiB; then `output` is absent."""
    output_bytes: int = 0
    """With `output_ref`: how large it is."""
    usage: Usage = Usage()


class Failed(msgspec.Struct, tag="call.failed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The call did not do what it should, and had no effect that counts."""

    call: str
    code: str
    message: str
    retryable: bool = False
    """The same call may succeed later."""
    usage: Usage = Usage()


class Refused(msgspec.Struct, tag="call.refused.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The guard did not grant the call: nothing ran."""

    call: str
    code: str
    message: str
    ends: bool = False
    """The run is to end with it: nobody decided in time, and the rule says so."""


class Lost(msgspec.Struct, tag="call.lost.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Outcome unknown: the call may or may not have had its effect. Never reported as success."""

    call: str
    message: str
    usage: Usage = Usage()


Result = Completed | Failed | Refused | Lost
