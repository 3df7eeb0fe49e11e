"""A request as its actor knows it: a fold of its own records, bounded however many people vote."""

from typing import Any

import msgspec

from callboard_contracts import approval
from callboard_contracts.policy import GROUP


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The request after its last record. `requested` is the first record's and not part of a snapshot."""

    requested: approval.Requested | None = None
    decided: approval.Decided | None = None
    digest: str = ""
    """What a vote must bind to: of the call as it was proposed, or of its latest edit."""
    edited: bool = False
    arguments: Any = None
    """The edited ones."""
    approvals: tuple[str, ...] = ()
    """Who approved what `digest` stands for."""
    more: tuple[str, ...] = ()
    """Who may decide beside those of the rule: by escalation or delegation."""
    gave_away: tuple[str, ...] = ()
    """Who delegated, and therefore may not decide."""
    escalated: bool = False
    reminded: int = 0
    reminded_ms: int = 0
    armed_ms: int = 0
    heard: tuple[str, ...] = ()
    """The last votes: said again, they change nothing."""

    @property
    def open(self) -> approval.Requested:
        """What is to be decided.

        :raises LookupError: nothing was asked, which is a bug of ours.
        """
        if self.requested is None:
            raise LookupError("nothing was requested")
        return self.requested

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who may decide now; empty: whoever has a key."""
        named = self.open.request.rule.approvers
        return tuple(dict.fromkeys((*named, *self.more))) if named else ()

    def may_decide(self, principal: str, groups: tuple[str, ...]) -> bool:
        """Tell whether a person is among those who decide."""
        if principal in self.gave_away:
            return False
        named = self.approvers
        return not named or principal in named or any(f"{GROUP}{group}" in named for group in groups)
