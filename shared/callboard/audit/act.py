"""An act: one thing that somebody did, on whose behalf, by which decision, and what came of it."""

from typing import Final, Literal

import msgspec

from callboard_contracts.units import MicroUsd

Kind = Literal["goal", "call", "control", "vote", "decision", "ending"]


class Act(msgspec.Struct, kw_only=True):
    """One line of the audit log."""

    time_ms: int
    """When it was recorded, in ms since 1970."""
    seq: int
    """Where: the sequence of the record, in the journal of its tree."""
    kind: Kind
    """`goal`, `call`, `control` (cancel, pause …), `vote`, `decision` of a request, or the run's `ending`."""
    tenant: str = ""
    principal: str = ""
    """On whose behalf: who started the tree."""
    by: str = ""
    """Who acted: a person, or the agent's model."""
    run: str = ""
    skill: str = ""
    call: str = ""
    tool: str = ""
    """Of a call its tool; of anything else what was done."""
    effect: str = ""
    """The effect class of the tool; empty when the registry no longer knows the tool."""
    arguments: str = ""
    """In short: the first 200 characters of their JSON."""
    arguments_digest: str = ""
    """The sha256 of the arguments' JSON, in hex: of what ran, where an approver edited it."""
    decision: str = ""
    """`granted`, `refused`, `held`, `proposed`; of a request how it ended."""
    rule: str = ""
    """The rule that held the call, as `<policy>/<rule>`."""
    code: str = ""
    """Why it was refused, or failed: a code of the error catalogue, or the tool's own."""
    approvers: str = ""
    """Whose votes decided, with blanks between."""
    outcome: str = ""
    """`completed`, `failed`, `lost`, `refused`; empty: not yet."""
    output_digest: str = ""
    """The sha256 of the output's JSON, in hex."""
    output_seq: int = 0
    """The sequence of the result that holds it, or its reference."""
    model: str = ""
    cost_micro_usd: MicroUsd = 0
    unpriced: bool = False
    reason: str = ""
    """What was said of it."""


COLUMNS: Final = Act.__struct_fields__
"""The columns of an export, in their order."""
