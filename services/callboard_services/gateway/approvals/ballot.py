"""A vote as a person writes it, checked as far as it can be before it is stored."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request

from callboard.actor import violations
from callboard_contracts import approval, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.policy import GROUP
from callboard_services.gateway.approvals.view import View
from callboard_services.gateway.bodies import decode, read
from callboard_services.gateway.house import House, Principal

_MOST = 64 * 1024
_SEEN: tuple[approval.Choice, ...] = ("approve", "edit", "answer")
"""What binds to what the person saw; who denies or delegates lets nothing run."""


class Ballot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a vote."""

    decision: approval.Choice
    digest: Annotated[str, Meta(max_length=64)] = ""
    """Of what was seen, as `GET` tells it. Needed to approve, edit and answer."""
    reason: Annotated[str, Meta(max_length=2000)] = ""
    arguments: Any | UnsetType = UNSET
    """With `edit`: what is to run instead."""
    answer: Any | UnsetType = UNSET
    """With `answer`: the answer."""
    to: Annotated[str, Meta(max_length=80)] = ""
    """With `delegate`: the name of a key, or `group:<name>`."""


async def ballot_of(request: Request) -> Ballot:
    """Return the vote of a request.

    :raises CallboardError: `invalid_json`, or `invalid_request` with the name of the field that is wrong.
    """
    too_large = CallboardError("invalid_request", "The vote is larger than 64 KiB.")
    ballot = decode(await read(request, _MOST, too_large), Ballot, "invalid_request")
    needed = {"edit": ("arguments", ballot.arguments), "answer": ("answer", ballot.answer)}
    field, given = needed.get(ballot.decision, ("", None))
    if given is UNSET:
        raise CallboardError("invalid_request", f"{field}: `{ballot.decision}` needs it.")
    if ballot.decision == "delegate" and not ballot.to.removeprefix(GROUP).strip():
        raise CallboardError("invalid_request", "to: name a key, or `group:<name>`.")
    if ballot.decision in _SEEN and not ballot.digest:
        raise CallboardError("invalid_request", "digest: say what was seen; GET tells its digest.")
    return ballot


def check(house: House, view: View, ballot: Ballot) -> None:
    """Check edited arguments against the tool's schema, as the guard will again.

    :raises CallboardError: `arguments_invalid`; `invalid_request`, they are too large.
    """
    if ballot.decision != "edit":
        return
    if len(wire.encode(ballot.arguments)) > wire.INLINE_BYTES:
        raise CallboardError("invalid_request", "arguments: edited ones may have 32 KiB.")
    spec = house.registry.facts.spec(view.request.tool)
    if spec is not None and (problems := violations(spec.input_schema, ballot.arguments)):
        raise CallboardError("arguments_invalid", "; ".join(problems))


def said(ballot: Ballot, view: View, who: Principal) -> approval.Vote:
    """Return the vote as it is published, stamped with who casts it."""
    return approval.Vote(
        vote=ballot.decision,
        digest=ballot.digest or view.digest,
        principal=who.name,
        groups=who.groups,
        reason=ballot.reason,
        arguments=None if ballot.arguments is UNSET else ballot.arguments,
        answer=None if ballot.answer is UNSET else ballot.answer,
        to=ballot.to,
    )
