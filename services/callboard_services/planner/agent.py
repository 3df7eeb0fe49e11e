"""The tool `agent.run`, as the planner announces it: a sub-agent is a call like any other."""

from typing import Any

from callboard_contracts import names
from callboard_contracts.tool import Spec

_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "objective": {
            "type": "string",
            "minLength": 1,
            "description": "What the sub-agent must achieve, complete in itself.",
        },
        "skill": {"type": "string", "description": "A deployed skill to run instead of, or with, an objective."},
        "input": {"description": "The skill's input."},
        "contract": {
            "type": "object",
            "description": "JSON Schema of what it must return; a plain string when absent.",
        },
        "tools": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Tools it may use, none beyond your own.",
        },
        "model": {"type": "string"},
        "max_turns": {"type": "integer", "minimum": 1, "maximum": 1000},
        "timeout_s": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
        "budget_usd": {"type": "number", "minimum": 0, "description": "A slice of the budget, in US dollars."},
    },
    "anyOf": [{"required": ["objective"]}, {"required": ["skill"]}],
    "additionalProperties": False,
}

AGENT = Spec(
    name=names.AGENT,
    description="Give a part of the work to a sub-agent and get its result. Several run side by side.",
    input_schema=_INPUT,
    effect="write",
    timeout_s=305.0,
    tags=("agents",),
)
