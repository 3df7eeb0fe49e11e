"""What a run that failed leaves behind: what was done, what failed, what never began, and what nobody knows. Pure."""

from collections.abc import Iterable
from typing import Any, Literal

from callboard_contracts import names

Kind = Literal["done", "failed", "not_started", "unknown"]
_NOTHING_RAN = frozenset({"call_expired"})


def of(calls: Iterable[dict[str, Any]]) -> dict[Kind, list[dict[str, str]]]:
    """Return a run's calls by what is known of them. Questions to the model are told only where they say something."""
    found: dict[Kind, list[dict[str, str]]] = {"done": [], "failed": [], "not_started": [], "unknown": []}
    for call in calls:
        kind = _kind(call)
        if call["tool"] != names.MODEL or kind == "unknown":
            found[kind].append({key: str(call[key] or "") for key in ("call", "tool", "code", "message")})
    return found


def _kind(call: dict[str, Any]) -> Kind:
    match call["status"]:
        case "completed":
            return "done"
        case "failed":
            return "not_started" if call["code"] in _NOTHING_RAN else "failed"
        case "lost":
            return "unknown"
        case "refused":
            return "not_started"
        case _:  # proposed, granted, unanswered: what was granted may have run
            return "unknown" if call["granted_ms"] else "not_started"
