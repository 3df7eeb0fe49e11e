"""A goal: an objective plus the contract of what must come out, with limits."""

from typing import Any

import msgspec

from callboard_contracts.units import MicroUsd


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a run may use. Turns and time are the run's own; the rest is the envelope of its whole tree."""

    max_turns: int = 20
    """How often the model is asked in this run."""
    timeout_s: float = 600.0
    """Wall time of the run, from its acceptance."""
    budget_micro_usd: MicroUsd | None = 1_000_000
    """Money of the tree; for a sub-agent: its slice of what the tree still has. None: no limit of its own."""
    max_tokens: int = 2_000_000
    """Tokens of the tree, prompts and answers together."""
    max_calls: int = 200
    """Granted calls of the tree."""
    max_depth: int = 3
    """How deep sub-agents may nest; 0 forbids them."""
    max_runs: int = 128
    """How many runs the tree may have."""
    start_timeout_s: float | None = None
    """How long the goal may wait until a planner takes it; None: as long as it takes."""


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a run takes up one that ended: the model reads that run's records up to `seq` before its own."""

    of: str
    """The run that ended. It stays as it is."""
    turn: int = 0
    """Its last turn that counts; 0: none, the run begins anew."""
    seq: int = 0
    """The sequence of that turn's last record, in the journal of that run."""
    tokens: int = 0
    """An estimate of the prompt that those records make."""
    summary: int = 0
    """The sequence of the result with the summary that stood there, in the journal of that run; 0: none did."""


class Submit(msgspec.Struct, tag="goal.submit.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Start a run. Published to `cb.<tenant>.goal.<skill>`; its id is the run's id, so sent twice it is one run."""

    id: str = ""
    """A ULID; may stand in the header `ce-id` instead."""
    objective: str = ""
    """What is to be achieved, in words. May be empty when a skill has its own prompt."""
    input: Any = None
    """The skill's input, valid against its input schema."""
    contract: dict[str, Any] | None = None
    """JSON Schema of the output; a skill's own when absent, `{"type": "string"}` without a skill."""
    tools: tuple[str, ...] | None = None
    """The tools that may be used, never more than the skill allows; absent: all of those."""
    model: str = ""
    """The model to ask; empty: the default of the models service."""
    limits: Limits = Limits()
    grounded: bool = False
    """Accept only an output whose every value occurs in what the tools returned."""
    principal: str = ""
    """Who acts. Stamped by the gateway from the key; a bare publisher's own word counts for nothing more."""
    labels: dict[str, str] = {}
    """Words to find the run by."""
    preferences: tuple[str, ...] = ()
    """What the one who acts prefers, a line each: the models of the run read it as a part of its own."""
    retry: Retry | None = None
    """The run that this one takes up again."""


class Delegate(msgspec.Struct, tag="goal.delegate.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The arguments of a call of `agent.run`: a goal for a sub-agent, never wider than its parent's."""

    objective: str = ""
    skill: str = ""
    input: Any = None
    contract: dict[str, Any] | None = None
    tools: tuple[str, ...] | None = None
    model: str = ""
    max_turns: int = 10
    timeout_s: float = 300.0
    budget_usd: float | None = None
    """A slice of the tree's money, in US dollars."""
