"""Every route about requests to people."""

from callboard_services.gateway import pages
from callboard_services.gateway.approvals import listing, showing, voting
from callboard_services.gateway.approvals.ballot import Ballot
from callboard_services.gateway.route import Route

_VOTE_ERRORS = (
    "invalid_json", "invalid_request", "arguments_invalid", "vote_invalid", "unknown_approval", "not_approver",
    "four_eyes", "already_voted", "approval_decided", "approval_expired", "approval_changed", "conflict",
)  # fmt: skip

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/approvals", handler=listing.page, summary="List requests to people, newest first",
        query=listing.Page, errors=("invalid_request",),
    ),
    Route(
        method="GET", path="/v1/approvals/{request}", handler=showing.show, errors=("unknown_approval",),
        summary="A request: exactly what will run, who may decide, what was said",
    ),
    Route(
        method="POST", path="/v1/approvals/{request}/votes", handler=voting.vote, body=Ballot,
        summary="Vote; the key says who votes. 202: it is stored, and nobody has counted it yet",
        headers=("Idempotency-Key",), errors=_VOTE_ERRORS,
    ),
    Route(
        method="GET", path="/approvals", handler=pages.approvals, summary="The requests, for people",
        returns="text/html",
    ),
    Route(
        method="GET", path="/approvals/{request}", handler=pages.approval, summary="A request, for people",
        returns="text/html",
    ),
)  # fmt: skip
