"""What can be used: tools, models and skills, as the registry has them now."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts import names
from callboard_contracts.tool import Entry, Model
from callboard_services.gateway.bodies import json
from callboard_services.gateway.house import house_of


async def tools(request: Request) -> Response:
    """List the tools that runs may use."""
    entries = house_of(request).registry.facts.tools
    return json({"tools": [_tool(entry) for _, entry in sorted(entries.items()) if not entry.spec.hidden]})


async def models(request: Request) -> Response:
    """List the models that can be asked, the default first."""
    spec = house_of(request).registry.facts.spec(names.MODEL)
    found = spec.models if spec else ()
    return json({"models": [_model(model) for model in found], "default": found[0].name if found else None})


async def skills(request: Request) -> Response:
    """List the skills that are deployed."""
    facts = house_of(request).registry.facts
    found = [(name, facts.skill(name)) for name in sorted(facts.skills)]
    return json({"skills": [_skill(*version) for _, version in found if version is not None]})


def _tool(entry: Entry) -> dict[str, Any]:
    spec = msgspec.to_builtins(entry.spec)
    kept = ("name", "version", "description", "input_schema", "output_schema", "tags")
    return {key: spec[key] for key in kept if key in spec} | {
        "effect": entry.spec.effect,
        "price_micro_usd": entry.spec.price_micro_usd,
        "timeout_s": entry.spec.timeout_s,
        "instances": entry.instances,
        "admitted": entry.admitted,
        "problem": entry.problem,
    }


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "input_micro_usd_per_million": model.input_micro_usd,
        "output_micro_usd_per_million": model.output_micro_usd,
        "context_tokens": model.context_tokens,
        "scripted": model.scripted,
    }


def _skill(digest: str, skill: Any) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(skill)
    for hidden in ("type", "prompt"):
        shown.pop(hidden, None)
    return shown | {"digest": digest}
