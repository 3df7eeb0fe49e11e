"""Rules that say when a person must decide before a call runs: of the deployment, or of a skill."""

from hashlib import sha256
from typing import Any, Final, Literal

import msgspec

from callboard_contracts.tool import Effect

GROUP: Final = "group:"
"""What stands before the name of a group, where a plain name is the name of a key."""
WEEK_S: Final = 604_800.0


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which calls wait for a person, who decides, and what happens when nobody does. Conditions hold together."""

    name: str
    """Its name, by which people and records know it."""
    tool: tuple[str, ...] = ("*",)
    """Names of tools, where `*` stands for any letters; one of them must fit."""
    effect: tuple[Effect, ...] = ()
    """Effect classes, one of which the tool must have; empty: any."""
    skill: tuple[str, ...] = ("*",)
    """Names of skills, where `*` stands for any letters; a run without a skill has the empty name."""
    agent: Literal["any", "root", "sub"] = "any"
    """Whose calls: of any run, of root runs alone, or of sub-agents alone."""
    when: dict[str, Any] | None = None
    """JSON Schema that the arguments fit; absent: whatever they are. One that cannot be evaluated counts as met."""
    approvers: tuple[str, ...] = ()
    """Who may decide: names of keys, and `group:<name>`; empty: whoever has a key."""
    quorum: int = 1
    """How many different people must approve. One denial decides, and so does one answer to a question."""
    expires_s: float = WEEK_S
    """After this many seconds nobody may decide any more."""
    on_expiry: Literal["refuse", "fail"] = "refuse"
    """What then: the call is refused and the model goes on, or the run ends as failed."""
    remind_after_s: float = 0.0
    """After this many seconds, and again each time they are over, people are reminded; 0: never."""
    escalate_after_s: float = 0.0
    """After this many seconds those of `escalate_to` may decide too; 0: never."""
    escalate_to: tuple[str, ...] = ()
    """Who may decide then, beside the others: names of keys, and `group:<name>`."""
    reason: str = ""
    """Why a person must decide, for people and for the model."""
    four_eyes: bool = False
    """Whoever started the tree may not approve."""


class Policy(msgspec.Struct, tag="policy.policy.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Rules of the deployment under one name. The first rule that fits a call counts; all policies before any skill."""

    name: str
    rules: tuple[Rule, ...] = ()
    """The rules, in the order in which they are tried."""


def digest_of(value: object) -> str:
    """Return the digest of a value: sha256 of its canonical JSON (keys in order, no blanks), in hex."""
    return sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
