"""`POST /v1/runs/{run}/{cancel,pause,resume,steer}`: a word to the guard, for the run and everything below it.

Said again it changes nothing, and the answer says so (`changed`). With an `Idempotency-Key` a word that is sent twice
is one word, also where twice would mean more than once.
"""

import secrets
from hashlib import sha256
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts import guard, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.bodies import decode, json, read
from callboard_services.gateway.house import House, house_of, principal_of
from callboard_services.gateway.runs import run_of
from callboard_services.gateway.standing import Standing, standing

_MOST = 64 * 1024
_Reason = Annotated[str, Meta(max_length=1000)]
Verb = Literal["cancel", "pause", "resume", "steer", "retry"]
B = TypeVar("B")


class Cancellation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `cancel`, which may be empty."""

    reason: _Reason = ""


class Pausing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `pause`, which may be empty."""

    reason: _Reason = ""


class Resumption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `resume`: nothing needs to be said."""


class Steering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `steer`."""

    text: guard.Words
    """What the model reads before its next answer counts."""


async def cancel(request: Request) -> Response:
    """End a run and its sub-agents. Of one that has ended it changes nothing."""
    house, wish = house_of(request), await body_of(request, Cancellation)
    found = await standing(house, run_of(request))
    changed = not (found.ended or found.cancelled)
    word = guard.Cancel(run=found.run, reason=wish.reason, principal=principal_of(request))
    return await _say(request, found, "cancel", word, changed=changed)


async def pause(request: Request) -> Response:
    """Stop a run and its sub-agents at their next step. Calls that run may finish."""
    house, wish = house_of(request), await body_of(request, Pausing)
    found = await standing(house, run_of(request))
    found.require_live()
    word = guard.Pause(run=found.run, reason=wish.reason, principal=principal_of(request))
    return await _say(request, found, "pause", word, changed=found.run not in found.pauses)


async def resume(request: Request) -> Response:
    """Let a run and its sub-agents go on. Where an ancestor is paused, that one must be resumed."""
    house = house_of(request)
    await body_of(request, Resumption)
    found = await standing(house, run_of(request))
    found.require_live()
    word = guard.Resume(run=found.run, principal=principal_of(request))
    return await _say(request, found, "resume", word, changed=found.run in found.pauses)


async def steer(request: Request) -> Response:
    """Tell the models of a run and its sub-agents something."""
    house, wish = house_of(request), await body_of(request, Steering)
    if not wish.text.strip():
        raise CallboardError("invalid_request", "The text says nothing.")
    found = await standing(house, run_of(request))
    found.require_begun()
    word = guard.Steer(run=found.run, text=wish.text, principal=principal_of(request))
    return await _say(request, found, "steer", word, changed=True)


async def body_of(request: Request, type_: type[B]) -> B:
    """Return the body of a word of control; an empty one is `{}`.

    :raises CallboardError: `invalid_json`, or `invalid_request` with the name of the field that is wrong.
    """
    body = await read(request, _MOST, CallboardError("invalid_request", "The body is larger than 64 KiB."))
    return decode(body or b"{}", type_, "invalid_request")


def wish_id(request: Request, verb: Verb, about: str) -> str:
    """Return the id of a wish: another one each time, and the same for the same `Idempotency-Key`."""
    key = request.headers.get("idempotency-key", "")
    said = sha256(f"{principal_of(request)}\0{key}".encode()).hexdigest()[:16] if key else secrets.token_hex(4)
    return f"{verb}:{about}:{said}"


async def _say(request: Request, found: Standing, verb: Verb, word: guard.Control, *, changed: bool) -> Response:
    house = house_of(request)
    if changed or not found.ended:
        where = subjects.Address.of_tree(house.tenant, found.run).at("in", "control")
        await publish(house, str(where), wish_id(request, verb, found.run), word)
    told = {"run": found.run, "was": found.status, "changed": changed, "status_url": f"/v1/runs/{found.run}"}
    above = [name for name in found.pauses if name != found.run]
    return json(told | ({"paused_above": above[0]} if above else {}), 202)


async def publish(house: House, subject: str, cause: str, word: msgspec.Struct) -> None:
    """Store a word in the journal.

    :raises BusError: it is not known to be stored.
    """
    await house.bus.publish(subject, wire.encode(word), {wire.ID: cause, wire.TYPE: wire.type_of(type(word))})
