"""A step: one question to the model, its answer, and the calls that it led to."""

from typing import Any

import msgspec

from callboard_contracts.units import MicroUsd


class Retry(msgspec.Struct, frozen=True):
    """Whether a call could be made again without harm."""

    safe: bool
    sentence: str


class Decision(msgspec.Struct, kw_only=True):
    """What the guard made of a call."""

    decision: str = "proposed"
    """`proposed`, `held`, `granted` or `refused`."""
    seq: int = 0
    """The record that says so."""
    at_ms: int = 0
    code: str = ""
    message: str = ""
    rule: str = ""
    """The rule that asked for a person, as `<policy>/<rule>`."""
    approval: str = ""
    """How the request ended, when there was one."""
    by: str = ""
    """Whose votes decided."""
    reserved_micro_usd: MicroUsd = 0
    """The worst case, reserved by the grant."""
    committed_micro_usd: MicroUsd = 0
    """What the tree had spent, and had reserved, before this decision."""
    budget_micro_usd: MicroUsd | None = None
    calls: int = 0
    """How many calls the tree had been granted before."""
    max_calls: int = 0


class Made(msgspec.Struct, kw_only=True):
    """One call of a step."""

    call: str
    tool: str
    arguments: Any = None
    """As they ran: where an approver edited them, the edited ones."""
    arguments_ref: str = ""
    effect: str = ""
    """Empty: the registry does not know the tool any more."""
    guard: Decision = msgspec.field(default_factory=Decision)
    outcome: str = ""
    """`completed`, `failed`, `refused`, `lost`; empty: not yet."""
    output: Any = None
    output_ref: str = ""
    code: str = ""
    message: str = ""
    duration_ms: int = 0
    cost_micro_usd: MicroUsd = 0
    unpriced: bool = False
    attempts: int = 1
    """How often it was made, with the times that a person had it made again."""
    again: str = ""
    """The call that this one repeats, because a person wanted it."""
    late: bool = False
    result_seq: int = 0
    retry: Retry = Retry(safe=False, sentence="")


class Step(msgspec.Struct, kw_only=True):
    """One step."""

    run: str
    step: int
    """From 1, as `runs show` numbers them."""
    steps: int = 0
    """How many the run has had."""
    asked: Made
    """The question to the model."""
    asked_seq: int
    """The record that asked."""
    asked_ms: int
    model: str = ""
    offered: tuple[str, ...] = ()
    """The tools that the model might have called."""
    text: str = ""
    """What the model said beside its answer."""
    decided: str = ""
    """What it decided: `calls`, `finish`, `give_up`; empty: it did not answer."""
    rejected: str = ""
    """Why its answer was not accepted: a code of the error catalogue."""
    notes: tuple[str, ...] = ()
    """What the model was told after it, and what persons said meanwhile."""
    calls: tuple[Made, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_usd: MicroUsd = 0
    """Of the question and the calls."""
    duration_ms: int = 0
    """From the question to the record that took the last answer."""
