"""`GET /v1/approvals/{request}`: exactly what will run, who may decide, what was said, and what led here."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callboard.bus.objects import get_blob
from callboard_contracts import approval, ids
from callboard_contracts.units import dollars
from callboard_services.gateway.approvals.reading import steps, unknown, view_of
from callboard_services.gateway.approvals.view import View
from callboard_services.gateway.bodies import json
from callboard_services.gateway.house import House, Principal, house_of, voter_of

_INLINE_BYTES = 1024 * 1024


async def show(request: Request) -> Response:
    """Tell all about one request."""
    house, name = house_of(request), request_of(request)
    view = await view_of(house, name)
    told = whole(view, voter_of(request))
    return json(told | await _large(house, view) | {"steps": await steps(house, name)})


def request_of(request: Request) -> str:
    """Return the request that a path names.

    :raises CallboardError: `unknown_approval`, it cannot be one.
    """
    found = str(request.path_params["request"])
    if not ids.is_call(found) or len(found) > 256:
        raise unknown(found)
    return found


def whole(view: View, you: Principal) -> dict[str, Any]:
    """Return a request as it is told to somebody."""
    asked, request = view.asked, view.request
    return {
        "id": request.id,
        "run": request.run,
        "tree": ids.tree_of(request.run),
        "status": view.status,
        "question": view.question,
        "tool": request.tool,
        "version": request.version,
        "effect": request.effect,
        "arguments": view.arguments,
        "worst_micro_usd": request.worst_micro_usd,
        "worst_usd": dollars(request.worst_micro_usd),
        "objective": asked.objective,
        "skill": asked.skill,
        "principal": asked.principal,
        "reason": request.rule.reason,
        "rule": request.rule.name,
        "policy": request.policy,
        "policy_digest": request.policy_digest,
        "digest": view.digest,
        "requested_ms": asked.at_ms,
        "expires_ms": asked.expires_ms,
        "on_expiry": request.rule.on_expiry,
        "approvers": [who for who in view.approvers if who not in view.gave_away],
        "quorum": request.rule.quorum,
        "four_eyes": request.rule.four_eyes,
        "approved_by": view.approved_by,
        "votes": [_vote(vote) for vote in view.heard],
        "reminded": view.reminded,
        "you": {"principal": you.name, "groups": you.groups, "may_decide": view.may_decide(*you)},
        "votes_url": f"/v1/approvals/{request.id}/votes",
        "run_url": f"/v1/runs/{request.run}",
    } | _edit(view) | decision(view)  # fmt: skip


def decision(view: View) -> dict[str, Any]:
    """Return how a request was decided, nothing while it is open."""
    if view.decided is None:
        return {}
    found = msgspec.to_builtins(view.decided)
    kept = ("outcome", "by", "reason", "edited", "arguments", "answer", "at_ms")
    return {"decision": {name: found[name] for name in kept if name in found}}


def _edit(view: View) -> dict[str, Any]:
    if not view.edited_by:
        return {}
    return {"proposed": view.request.arguments, "proposed_digest": view.request.digest, "edited_by": view.edited_by}


def _vote(vote: approval.Voted | approval.VoteRefused) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(vote)
    del told["type"]
    return told | {"counted": isinstance(vote, approval.Voted)}


async def _large(house: House, view: View) -> dict[str, Any]:
    """Return arguments that are not in the record: whole, as far as they can be told."""
    ref = view.request.arguments_ref
    if not ref:
        return {}
    stored = await get_blob(house.bus, ref)
    told = msgspec.Raw(stored) if len(stored) <= _INLINE_BYTES else None
    found: dict[str, Any] = {"arguments_ref": ref, "arguments_bytes": len(stored)}
    return found | {"proposed" if view.edited_by else "arguments": told}
