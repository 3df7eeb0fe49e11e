"""A notice: something that people should hear of now. The gateway's notifier posts it to the webhooks that want it.

It is said at least once and carries the same id each time. What may be confidential (arguments, answers) is not in
it: the link shows that to who has a key.
"""

from typing import Literal

import msgspec

from callboard_contracts.units import MicroUsd

Stage = Literal["requested", "reminded", "escalated", "decided"]
"""What became of a request."""


class Approval(msgspec.Struct, tag="notice.approval.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A person is asked to decide, or has decided."""

    id: str
    """Follows from its cause: `<request>_<stage>_<n>`."""
    request: str
    """The id of the request, which is that of the held call."""
    run: str
    stage: Stage
    """What became of the request."""
    tool: str
    objective: str = ""
    """What the run is to achieve, in its first 500 characters."""
    reason: str = ""
    """The reason of the rule; of a question its text."""
    approvers: tuple[str, ...] = ()
    """Who may decide: names of keys, and `group:<name>`; empty: whoever has a key."""
    quorum: int = 1
    """How many of them must approve."""
    expires_ms: int = 0
    """When it is too late to decide, in ms since 1970; 0: never."""
    outcome: str = ""
    """Once decided: `approved`, `denied`, `answered`, `expired` or `withdrawn`."""
    by: tuple[str, ...] = ()
    """Once decided: whose votes decided."""
    at_ms: int
    link: str = ""
    """Where a person sees all of it and decides. The notifier fills it in."""


class Spend(msgspec.Struct, tag="notice.spend.v1", frozen=True, kw_only=True, omit_defaults=True):
    """More is spent than was declared to be usual."""

    id: str
    """Follows from its cause."""
    scope: str
    """Of what kind `key` is: `tenant`, `skill`, `run` and so on."""
    key: str
    """Whose spending it is."""
    spent_micro_usd: MicroUsd
    """What was spent within the window, in micro-US-dollars."""
    threshold_micro_usd: MicroUsd
    """What was declared, in micro-US-dollars."""
    window_s: float
    """Over how long it is counted, in seconds."""
    reason: str
    at_ms: int
    link: str = ""
    """Where a person sees more. The notifier fills it in where the ledger did not."""


Notice = Approval | Spend
"""Everything that is told to people."""
