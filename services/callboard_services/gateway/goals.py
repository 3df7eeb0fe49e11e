"""`POST /v1/goals`: validated, published, and only when the broker has stored it: 202."""

import secrets
import time

from starlette.requests import Request
from starlette.responses import Response

from callboard import crash
from callboard.bus import PublishRefused, PublishTimeout, reader
from callboard_contracts import ids, names, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.goal import Submit
from callboard_contracts.journal import Record
from callboard_contracts.run import Accepted
from callboard_services.gateway import archive, claims, submission
from callboard_services.gateway.bodies import json, read
from callboard_services.gateway.house import House, house_of, principal_of
from callboard_services.gateway.preferring import preferring
from callboard_services.gateway.problems import Problem

_TOO_LARGE = frozenset({0, 10054})
"""The connection takes no message of that size, or the goals' stream does not: sent again, it would not either."""


async def post(request: Request) -> Response:
    """Start a run."""
    house, principal = house_of(request), principal_of(request)
    goal = submission.parse(await read(request, submission.MAX_BYTES, submission.too_large()))
    digest, key = submission.digest(goal), _key(request, house, principal)
    claim = await claims.look_up(house.bus, key, digest) if key else None
    if claim and await first_record(house, claim.run):
        return _accepted(house, claim.run, goal.skill)
    await _check(house, goal)
    run = claim.run if claim else goal.id or ids.ulid(time.time_ns() // 1_000_000, secrets.token_bytes(10))
    if key and claim is None:
        run = (await claims.make(house.bus, key, claims.Claim(run=run, digest=digest))).run
        crash.point("gateway.after_claim")
    submit = await preferring(house, submission.submit(goal, run, principal))
    if not (goal.id and await _is_there(house, submit, goal.skill)):
        await publish(house, submit, goal.skill)
    return _accepted(house, run, goal.skill)


def _key(request: Request, house: House, principal: str) -> str:
    header = request.headers.get("idempotency-key")
    return "" if header is None else claims.key_of(house.tenant, principal, header)


async def _check(house: House, goal: submission.Goal) -> None:
    """Check what depends on the registry; what is not known may have been announced a moment ago.

    :raises CallboardError: `unknown_skill`, `unknown_tool`, `unknown_model`, `no_model`, `invalid_input`.
    """
    try:
        submission.check_known(goal, house.registry.facts)
    except CallboardError:
        await house.registry.reload()
        submission.check_known(goal, house.registry.facts)
    submission.check_input(goal, submission.skill_of(goal, house.registry.facts))


async def check_again(house: House, submit: Submit, skill: str) -> None:
    """Check that what a goal named once is still there.

    :raises CallboardError: `unknown_skill`, `unknown_tool`, `unknown_model`, `no_model`, `invalid_input`.
    """
    named = submission.Goal(skill=skill, input=submit.input, tools=submit.tools, model=submit.model)
    await _check(house, named)


async def first_record(house: House, run: str) -> Record | None:
    """Return the record with which a run began, None when it has not."""
    fence = subjects.Address.of_run(house.tenant, run).fence
    found = await reader.following(house.bus, house.journal_of(run), fence, 1)
    if found is not None and found.prev:  # those before it are in the archive
        found = await archive.first_record(house, run) or found
    return wire.decode(found.body, Record) if found is not None else None


async def _is_there(house: House, submit: Submit, skill: str) -> bool:
    """Tell whether the goal of an id that the client chose has begun already.

    :raises CallboardError: `conflict`, the id was used for another goal.
    """
    record = await first_record(house, submit.id)
    if record is None:
        return False
    begun = next((event for event in record.events if isinstance(event, Accepted)), None)
    if begun is not None and not _same(begun, submit, skill or names.ADHOC):
        raise CallboardError("conflict", f"The id {submit.id} was used for another goal.")
    return True


def _same(begun: Accepted, submit: Submit, skill: str) -> bool:
    """Tell whether a run began with this goal; a skill may have made it grounded, and preferences change."""
    fields = [field for field in Submit.__struct_fields__ if field not in ("grounded", "preferences")]
    return (begun.skill or names.ADHOC) == skill and all(
        getattr(begun.goal, field) == getattr(submit, field) for field in fields
    )


async def publish(house: House, submit: Submit, skill: str) -> None:
    """Publish a goal and wait until it is stored.

    :raises CallboardError: `unavailable` with the run's id, under which it may be sent again; `goal_too_large`.
    """
    body = wire.encode(submit)
    if len(body) > submission.MAX_BYTES:
        raise submission.too_large()
    subject = subjects.Goal(house.tenant, skill or names.ADHOC)
    headers = {wire.ID: submit.id, wire.TYPE: wire.type_of(Submit)}
    crash.point("gateway.before_publish")
    try:
        await house.bus.publish(str(subject), body, headers)
    except PublishTimeout:
        raise Problem("unavailable", "The goal may be stored or not.", run=submit.id) from None
    except PublishRefused as error:
        if error.code in _TOO_LARGE and not error.retry:
            raise CallboardError("goal_too_large", f"The broker does not take it: {error}.") from None
        raise Problem("unavailable", f"The goals' queue takes no more: {error}.", run=submit.id) from None
    crash.point("gateway.after_publish")


def _accepted(house: House, run: str, skill: str) -> Response:
    where = f"/v1/runs/{run}"
    body = {
        "run": run,
        "status_url": where,
        "events_url": f"{where}/events",
        "live_subject": subjects.live_tree(house.tenant, run),
        "skill": skill,
    }
    return json(body, 202, {"Location": where})
