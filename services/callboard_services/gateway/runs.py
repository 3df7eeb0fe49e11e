"""`GET /v1/runs/{run}`: from the ledger's tables, and never behind what the client already saw."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callboard.bus import reader
from callboard.bus.objects import get_blob
from callboard_contracts import ids, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Record
from callboard_contracts.run import Accepted, Ended
from callboard_contracts.units import dollars
from callboard_services.gateway import outcome, waiting
from callboard_services.gateway.bodies import json
from callboard_services.gateway.goals import first_record
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.questions import ask
from callboard_services.gateway.turns import turns_by

_INLINE_BYTES = 1024 * 1024
_NO_OUTCOME = ("running", "waiting", "paused", "completed")
_SUMS = ("calls", "cost_micro_usd", "input_tokens", "output_tokens", "unpriced", "estimated")


async def one(request: Request) -> Response:
    """Tell all about one run."""
    house, run = house_of(request), run_of(request)
    last = await reader.last(house.bus, house.journal_of(run), _address(house, run).fence)
    if last is None:
        return json(await _queued(house, run))
    try:
        answer = await ask(house, "run", {"run": run, "min_seq": last.seq})
        row = _whole(answer["run"]) | {"behind": answer["behind"]}
    except CallboardError as error:
        if error.code not in ("unavailable", "unknown_run"):
            raise
        row = {"run": run, "tree": ids.tree_of(run), "status": "running", "behind": True}
    return json(row | await _ending(house, run) | await _taken_up(house, row) | _links(run))


def run_of(request: Request) -> str:
    """Return the run that a path names.

    :raises CallboardError: `unknown_run`, it cannot be one.
    """
    run = str(request.path_params["run"])
    if not ids.is_run(run) or len(run) > 256:
        raise CallboardError("unknown_run", f"There is no run {run[:80]!r}.")
    return run


async def check_known(house: House, run: str) -> None:
    """Check that a run has begun or waits.

    :raises CallboardError: `unknown_run`.
    """
    if await reader.last(house.bus, house.journal_of(run), _address(house, run).fence) is None:
        await _queued(house, run)


async def _queued(house: House, run: str) -> dict[str, Any]:
    skill = await waiting.find(house, run)
    begun = None
    if skill is None:  # it may have begun between the two looks
        begun = await reader.last(house.bus, house.journal_of(run), _address(house, run).fence)
    if skill is None and begun is None:
        raise CallboardError("unknown_run", f"There is no run {run}.")
    status = "running" if begun is not None else "queued"
    return {"run": run, "tree": ids.tree_of(run), "status": status, "skill": skill or ""} | _links(run)


def _address(house: House, run: str) -> subjects.Address:
    return subjects.Address.of_run(house.tenant, run)


async def _ending(house: House, run: str) -> dict[str, Any]:
    """Return how a run ended, from its own last word: the tables do not keep outputs."""
    found = await reader.last(house.bus, house.journal_of(run), str(_address(house, run).at("log", "ended")))
    if found is None:
        return {"output": None}
    record = wire.decode(found.body, Record)
    ended = next(event for event in record.events if isinstance(event, Ended))
    said: dict[str, Any] = {"status": ended.status, "code": ended.code, "reason": ended.reason, "turns": ended.turns}
    if not ended.output_ref:
        return said | {"output": ended.output}
    output = await get_blob(house.bus, ended.output_ref)
    inline = msgspec.Raw(output) if len(output) <= _INLINE_BYTES else None
    return said | {"output": inline, "output_ref": ended.output_ref}


async def _taken_up(house: House, row: dict[str, Any]) -> dict[str, Any]:
    """Return after which turn of another run, as people count, this one took up: if it did, and that can be told."""
    first = await first_record(house, str(row["run"])) if row.get("retry_of") else None
    accepted = next((event for event in first.events if isinstance(event, Accepted)), None) if first else None
    retry = accepted.goal.retry if accepted is not None else None
    if retry is None:
        return {}
    turn = await turns_by(house, retry.of, retry.seq) if retry.turn else 0
    return {"from_turn": turn} if turn is not None else {}


def _links(run: str) -> dict[str, str]:
    return {"events_url": f"/v1/runs/{run}/events", "files_url": f"/v1/runs/{run}/files"}


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    told = as_told(row)
    told["totals"] = {name: told[name] for name in (*_SUMS, "cost_usd")}
    tree = row["tree_totals"]
    told["tree_totals"] = {name: tree[name] for name in _SUMS} | {"cost_usd": dollars(tree["cost_micro_usd"])}
    told["breakdown"] = [call | {"cost_usd": dollars(call["cost_micro_usd"])} for call in row["breakdown"]]
    if told["status"] not in _NO_OUTCOME:
        told["outcome"] = outcome.of(told["breakdown"])
    told["children"] = [as_told(child) for child in row["children"]]
    return told


def as_told(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the ledger as it is told: amounts in dollars beside the exact ones, words instead of nothing."""
    words = ("parent", "skill", "skill_digest", "objective", "model", "principal", "code", "reason", "retry_of")
    told = row | {word: row[word] or "" for word in words}
    budget = told.pop("budget", None)
    told.pop("committed", None)
    told["cost_usd"] = dollars(row["cost_micro_usd"])
    told["tree_cost_usd"] = dollars(row["tree_cost_micro_usd"])
    told["budget_usd"] = None if budget is None else dollars(budget)
    return told
