"""`POST /v1/runs/{run}/retry`: a failed call of a live run again, or an ended run from its last good turn as a new one.

The old run stays as it ended. The new one has its goal, its files, and reads what it did up to that turn.
"""

import secrets
import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard.why.gather import backwards
from callboard_contracts import ids, names, run, subjects
from callboard_contracts.errors import CallboardError
from callboard_contracts.goal import Retry
from callboard_services.gateway import claims, goals, takeup
from callboard_services.gateway.bodies import json
from callboard_services.gateway.control import body_of, publish, wish_id
from callboard_services.gateway.house import House, house_of, principal_of
from callboard_services.gateway.preferring import preferring
from callboard_services.gateway.runs import run_of
from callboard_services.gateway.standing import edge_of, standing


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `retry`, which may be empty: then an ended run is taken up after its last good turn."""

    call: str = ""
    """Of a live run: the call that failed."""
    from_turn: Annotated[int, Meta(ge=0)] | None = None
    """Of an ended run: the turn after whose calls it is taken up, as `runs show` counts; 0: from its beginning."""


async def retry(request: Request) -> Response:
    """Make a call again, or take up an ended run."""
    house, name, wish = house_of(request), run_of(request), await body_of(request, Wish)
    if wish.call and wish.from_turn is not None:
        raise CallboardError("invalid_request", "`call` is for a run that lives, `from_turn` for one that has ended.")
    if wish.call:
        return await _call(request, house, name, wish.call)
    found = await standing(house, name)
    if not found.ended:
        raise CallboardError("not_ended", f"The run {name} is {found.status}.")
    return await _again(request, house, name, wish)


async def _call(request: Request, house: House, name: str, call: str) -> Response:
    (await standing(house, name)).require_begun()
    source = await _failed(house, name, call)
    word = run.Retry(call=call, source=source, principal=principal_of(request))
    where = subjects.Address.of_run(house.tenant, name).at("in", "signal")
    await publish(house, str(where), wish_id(request, "retry", call), word)
    return json({"run": name, "call": call, "changed": True, "status_url": f"/v1/runs/{name}"}, 202)


async def _failed(house: House, name: str, call: str) -> int:
    """Return the record that asked for a call which failed.

    :raises CallboardError: `unknown_call`, `not_failed`.
    """
    if not ids.is_call(call) or ids.run_of(call) != name:
        raise CallboardError("unknown_call", f"The run {name} made no call {call[:200]!r}.")
    statuses: dict[str, str] = {}
    again: list[str] = []
    async for record in backwards(edge_of(house), subjects.Address.of_run(house.tenant, name)):
        for event in record.events:
            if isinstance(event, run.Took):
                statuses |= {taken.call: taken.status for taken in event.results}
            elif isinstance(event, run.Called):
                again += [made.id for made in event.calls if made.again == call]
                if any(made.id == call for made in event.calls):
                    _check_failed(call, event, statuses, again)
                    return record.seq
    raise CallboardError("unknown_call", f"The run {name} made no call {call}.")


def _check_failed(call: str, event: run.Called, statuses: dict[str, str], again: list[str]) -> None:
    status = statuses.get(call, "")
    if next(made.tool for made in event.calls if made.id == call) == names.MODEL:
        raise CallboardError("invalid_request", f"{call} asks the model, which is asked again by itself.")
    if status in ("", "completed"):
        raise CallboardError("not_failed", f"The call {call} {'completed' if status else 'has not answered'}.")
    if made := next((one for one in again if statuses.get(one, "") in ("", "completed")), ""):
        what = "completed" if made in statuses else "has not answered"
        raise CallboardError("not_failed", f"The call {call} was made again as {made}, which {what}.")


async def _again(request: Request, house: House, name: str, wish: Wish) -> Response:
    accepted, found = await takeup.point_of(house, name, wish.from_turn)
    key, claimed = await _claim(request, house, name, wish)
    new = claimed or ids.ulid(time.time_ns() // 1_000_000, secrets.token_bytes(10))
    if key and not claimed:
        new = (await claims.make(house.bus, key, claims.Claim(run=new, digest=_digest(name, wish)))).run
    submit = msgspec.structs.replace(
        accepted.goal,
        id=new,
        preferences=(),
        principal=principal_of(request),
        retry=Retry(of=name, turn=found.turn, seq=found.seq, tokens=found.tokens, summary=found.summary),
    )
    submit = await preferring(house, submit)  # of who takes it up, who may be another
    skill = "" if accepted.skill == names.ADHOC else accepted.skill
    await goals.check_again(house, submit, skill)
    await takeup.copy_files(house, ids.tree_of(name), new)
    await goals.publish(house, submit, skill)
    where = f"/v1/runs/{new}"
    told: dict[str, Any] = {"run": new, "retry_of": name, "from_turn": found.number}
    return json(told | {"status_url": where, "events_url": f"{where}/events"}, 202, {"Location": where})


async def _claim(request: Request, house: House, name: str, wish: Wish) -> tuple[str, str]:
    """Return where the claim of an `Idempotency-Key` is kept, and the run that it stands for already."""
    header = request.headers.get("idempotency-key")
    if header is None:
        return "", ""
    key = claims.key_of(house.tenant, principal_of(request), header)
    claim = await claims.look_up(house.bus, key, _digest(name, wish))
    return key, claim.run if claim else ""


def _digest(name: str, wish: Wish) -> str:
    return f"retry:{name}:{wish.from_turn}"
