"""`POST /v1/approvals/{request}/votes`: a person's word, stamped with the key's name and groups, and what came of it.

The approval service decides. The vote is stored under an id first, and its outcome is read from the request's records
under that id: so the same vote sent again, by the same `Idempotency-Key`, is one vote with one answer.
"""

import asyncio
import secrets
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from callboard.bus import reader
from callboard_contracts import approval
from callboard_contracts.errors import CATALOGUE, CallboardError
from callboard_services.gateway.approvals.ballot import Ballot, ballot_of, check, said
from callboard_services.gateway.approvals.reading import address_of, view_of
from callboard_services.gateway.approvals.showing import decision, request_of
from callboard_services.gateway.approvals.view import OPEN, View
from callboard_services.gateway.bodies import json
from callboard_services.gateway.claims import key_of
from callboard_services.gateway.control import publish
from callboard_services.gateway.house import House, Principal, house_of, voter_of
from callboard_services.gateway.problems import Problem

_PATIENCE_S = 3.0
_LOOK_S = 0.02


async def vote(request: Request) -> Response:
    """Vote, and tell what came of it. 202: the vote is stored, and nobody has counted it yet."""
    house, name, who = house_of(request), request_of(request), voter_of(request)
    ballot = await ballot_of(request)
    id_ = _id(request, house, name, who)
    view = await view_of(house, name)
    if view.vote(id_) is None:
        if view.status != OPEN:
            raise Problem("approval_decided", f"It was {ended(view)}.", request=name, status=view.status)
        check(house, view, ballot)
        where = str(address_of(house, name).at("in", "vote"))
        await publish(house, where, id_, said(ballot, view, who))
        view = await _counted(house, view, id_)
    return _answer(view, id_, ballot)


def _id(request: Request, house: House, name: str, who: Principal) -> str:
    header = request.headers.get("idempotency-key")
    key = secrets.token_hex(8) if header is None else key_of(house.tenant, who.name, header)
    return f"vote:{name}:{sha256(f'{who.name}/{key}'.encode()).hexdigest()[:16]}"


async def _counted(house: House, view: View, id_: str) -> View:
    """Return the request when a vote is counted, or as it is after three seconds.

    :raises BusError: the broker does not answer.
    """
    name, after = view.request.id, 0
    fence, stream = address_of(house, name).fence, house.journal_of(name)
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE_S
    while True:
        last = await reader.last(house.bus, stream, fence)
        if last is not None and last.seq > after:
            after, view = last.seq, await view_of(house, name)
            if view.vote(id_) is not None:
                return view
        if loop.time() > until:
            return view
        await asyncio.sleep(_LOOK_S)


def _answer(view: View, id_: str, ballot: Ballot) -> Response:
    """Return what came of a vote.

    :raises CallboardError: `conflict`, another vote has its id. :raises Problem: it does not count, with the code.
    """
    heard = view.vote(id_)
    told: dict[str, Any] = {"request": view.request.id, "vote": id_, "status": view.status}
    told |= {"approved_by": view.approved_by, "quorum": view.request.rule.quorum, "digest": view.digest}
    match heard:
        case approval.VoteRefused():
            code = heard.code if heard.code in CATALOGUE else "conflict"
            raise Problem(code, heard.message, **(told | decision(view)))
        case approval.Voted() if heard.vote != ballot.decision:
            raise CallboardError("conflict", f"The Idempotency-Key was used to {heard.vote}.")
        case approval.Voted():
            return json(told | {"counted": True} | decision(view))
        case None:
            return json(told | {"counted": None}, 202)


def ended(view: View) -> str:
    """Return how a request ended, by whom and when, in words."""
    decided = view.decided
    if decided is None:
        return view.status
    by = f" by {', '.join(decided.by)}" if decided.by else ""
    why = f": {decided.reason}" if decided.reason else ""
    return f"{decided.outcome}{by}{why}"
