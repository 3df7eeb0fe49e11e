"""`GET /v1/runs/{run}/turns/{turn}/context`: what a model read in a turn, built again by the models service."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callboard.bus import reader
from callboard_contracts import subjects
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.archive import is_archived
from callboard_services.gateway.bodies import json, query
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.questions import ask
from callboard_services.gateway.runs import check_known, run_of

_PATIENCE_S = 20.0
"""A long run is read back first."""
_MOST_DIGITS = 9


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of the query."""

    contents: bool = False
    """With the messages themselves, not only what they are and how large."""


async def show(request: Request) -> Response:
    """Tell what was in the window of a turn."""
    house, run, wish = house_of(request), run_of(request), query(request, Wish)
    turn = _turn_of(request)
    await _check_begun(house, run)
    wanted = {"run": run, "turn": turn, "contents": wish.contents}
    try:
        return json(await ask(house, "prompt", wanted, service="models", timeout_s=_PATIENCE_S))
    except CallboardError as error:
        if error.code != "unavailable":
            raise
        said = f"A models service must build the prompt again: {error.detail}"
        raise CallboardError("unavailable", said) from None


def _turn_of(request: Request) -> int:
    given = str(request.path_params["turn"])
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS and int(given)):
        raise CallboardError("unknown_turn", f"{given[:40]!r} is no turn: they are numbered from 1 on.")
    return int(given)


async def _check_begun(house: House, run: str) -> None:
    """Check that there are records to build it from.

    :raises CallboardError: `unknown_run`, `not_started`, `archived`.
    """
    fence = subjects.Address.of_run(house.tenant, run).fence
    if await reader.last(house.bus, house.journal_of(run), fence) is None:
        await check_known(house, run)
        raise CallboardError("not_started", f"The run {run} waits to be taken.")
    if await is_archived(house, run):
        raise CallboardError("archived", f"The records of {run} have left the journal.")
