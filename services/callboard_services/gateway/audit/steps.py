"""`GET /v1/runs/{run}/steps/{step}` and `…/waste`: what one step was, from the records, and what was wasted."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callboard.audit import tree
from callboard.steps.fold import steps
from callboard.steps.step import Step
from callboard.steps.waste import waste
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.audit.messages import messages
from callboard_services.gateway.bodies import json, query
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.questions import ask
from callboard_services.gateway.runs import check_known, run_of

_PROMPT_S = 10.0


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a step."""

    contents: bool = False
    """With the text of every message of the prompt."""


async def one(request: Request) -> Response:
    """Tell all about one step."""
    house, name, wish = house_of(request), run_of(request), query(request, Wish)
    number = _number(request.path_params["step"])
    found = await _steps(house, name)
    if not 1 <= number <= len(found):
        has = f"it has {len(found)}" if found else "it has none yet"
        raise CallboardError("unknown_step", f"The run {name} has no step {number}: {has}.")
    told = msgspec.to_builtins(found[number - 1])
    return json(told | await _prompt(house, found[number - 1], contents=wish.contents))


async def wasted(request: Request) -> Response:
    """Tell what was wasted."""
    house, name = house_of(request), run_of(request)
    return json({"run": name, "waste": waste(await _steps(house, name))})


def _number(text: str) -> int:
    """Return a step's number.

    :raises CallboardError: `invalid_request`, it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise CallboardError("invalid_request", f"{text[:40]!r} is not the number of a step.")
    return int(text)


async def _steps(house: House, name: str) -> list[Step]:
    found = tree.Tree()
    async for message in messages(house, name):
        tree.add(found, message)
    if not any(logged.run == name for logged in found.records):
        await check_known(house, name)
    effects = {tool: entry.spec.effect for tool, entry in house.registry.facts.tools.items()}
    return steps(found, name, effects)


async def _prompt(house: House, step: Step, *, contents: bool) -> dict[str, Any]:
    """Return the window that the model was shown, as the models service builds it again; else why not."""
    asked = {"run": step.run, "call": step.asked.call, "contents": contents}
    try:
        return {"prompt": await ask(house, "prompt", asked, service="models", timeout_s=_PROMPT_S)}
    except CallboardError as error:
        return {"prompt": None, "prompt_problem": {"code": error.code, "detail": error.detail}}
