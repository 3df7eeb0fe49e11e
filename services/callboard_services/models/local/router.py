"""Which tool comes next (MiniLM over the tools' own descriptions and schemas), and which arguments a result names."""

import re
from collections.abc import Sequence
from typing import Any

from callboard_contracts import tool
from callboard_services.models.local import words
from callboard_services.models.local.retrieve import Similarity

STANDS_OUT = 0.8
"""A goal's own words come this near to a word of a description only when they ask for that tool."""


def required(spec: tool.Spec) -> tuple[str, ...]:
    """Return the arguments that a call must have."""
    return tuple(spec.input_schema.get("required", ()))


def source(spec: tool.Spec, argument: str, offered: Sequence[tool.Spec]) -> str:
    """Return the tool whose results name an argument's value, as the argument's description says; else nothing."""
    said = str(_property(spec, argument).get("description", ""))
    return next((one.name for one in offered if one.name != spec.name and _names(said, one.name)), "")


def sources(offered: Sequence[tool.Spec]) -> tuple[tool.Spec, ...]:
    """Return the tools that can be called at once and that other tools' arguments refer to: these look around."""
    referred = {source(spec, argument, offered) for spec in offered for argument in required(spec)}
    return tuple(spec for spec in offered if spec.name in referred and not required(spec))


def ranked(goal: str, offered: Sequence[tool.Spec], near: Similarity) -> tuple[tool.Spec, ...]:
    """Return the tools that act, the one the goal asks for first: by its description, else the simplest."""
    acting = [spec for spec in offered if required(spec)]
    scores = {spec.name: standing(goal, spec, near) for spec in acting}
    return tuple(
        sorted(acting, key=lambda s: (-scores[s.name] if scores[s.name] >= STANDS_OUT else 0.0, len(required(s))))
    )


def standing(goal: str, spec: tool.Spec, near: Similarity) -> float:
    """Return how near a word of the goal comes to a word of the description that only this tool would use."""
    said = words.content(spec.description)
    asked = [word for word in words.content(goal) if word.islower()]
    return max((near(a, b) for a in asked for b in dict.fromkeys(said)), default=0.0)


def _property(spec: tool.Spec, argument: str) -> dict[str, Any]:
    found = spec.input_schema.get("properties", {}).get(argument, {})
    return found if isinstance(found, dict) else {}


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}(?![\w])", text) is not None
