"""The one end of a request, and how whoever comes later hears of it. All pure."""

from typing import Any

from callboard_contracts import approval, names
from callboard_contracts.errors import CallboardError
from callboard_services.approval.state import State


def decided(
    state: State,
    outcome: approval.Outcome,
    now_ms: int,
    *,
    by: tuple[str, ...] = (),
    reason: str = "",
    answer: Any = None,
) -> approval.Decided:
    """Close a request."""
    edited = state.edited and outcome == "approved"
    return approval.Decided(
        outcome=outcome,
        digest=state.digest,
        by=by,
        reason=reason,
        edited=edited,
        arguments=state.arguments if edited else None,
        answer=answer,
        about=about(state) if state.requested else None,
        at_ms=now_ms,
    )


def expired(state: State, now_ms: int) -> approval.Decided:
    """Close a request that nobody decided in time."""
    count = (
        f"{len(state.approvals)} of {state.open.request.rule.quorum} had approved"
        if state.approvals
        else "nobody decided"
    )
    return decided(state, "expired", now_ms, reason=f"{count} within {state.open.request.rule.expires_s:g} s")


def about(state: State) -> approval.About:
    """Return what a notice says of a request."""
    asked = state.open
    return approval.About(
        tool=asked.request.tool,
        objective=asked.objective[:500],
        reason=reason_of(asked.request),
        approvers=state.approvers,
        quorum=asked.request.rule.quorum,
        expires_ms=asked.expires_ms,
    )


def reason_of(request: approval.Request) -> str:
    """Return why people are asked: the rule's reason, or the question itself."""
    if request.tool == names.ASK and isinstance(request.arguments, dict):
        return str(request.arguments.get("question", ""))[:2000]
    return request.rule.reason[:2000]


def too_late(found: approval.Decided) -> CallboardError:
    """Return what a vote hears that comes after the end."""
    if found.outcome == "expired":
        return CallboardError("approval_expired", "it expired before this vote")
    by = f" by {', '.join(found.by)}" if found.by else ""
    return CallboardError("approval_decided", f"it was {found.outcome}{by} before this vote")
