"""`GET /v1/runs/{run}/why`: what a run waits for, from the records and the broker's queues alone."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callboard.why import Facts, Reason, fold, why
from callboard.why.gather import gather
from callboard_contracts.errors import CallboardError
from callboard_services.gateway import waiting
from callboard_services.gateway.bodies import json
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.runs import run_of
from callboard_services.gateway.standing import edge_of


async def answer(request: Request) -> Response:
    """Tell what a run waits for, down to the sub-agents that it waits for."""
    facts = await _facts(house_of(request), run_of(request))
    chain = why(facts)
    return json({"run": facts.run, "status": _status(facts), "chain": [_told(reason) for reason in chain]})


async def _facts(house: House, run: str) -> Facts:
    """Return the facts of a run.

    :raises CallboardError: `unknown_run`.
    """
    facts = await gather(edge_of(house), run, house.registry.facts)
    if facts.records:
        return facts
    goal = await waiting.goal_of(house, run)
    if goal is not None:
        return msgspec.structs.replace(facts, queued_ms=goal.time_ms)
    facts = await gather(edge_of(house), run, house.registry.facts)  # it may have begun between the two looks
    if not facts.records and not facts.letters:
        raise CallboardError("unknown_run", f"There is no run {run}.")
    return facts


def _status(facts: Facts) -> str:
    paused = fold.tree(facts.tree).pause_of(facts.run) is not None
    return fold.own(facts.records).status(paused=paused)


def _told(reason: Reason) -> dict[str, Any]:
    return msgspec.structs.asdict(reason)
