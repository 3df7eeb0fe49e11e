"""The tool `human.ask`, as this service announces it. Nobody executes it: the guard holds it until a person answers."""

from typing import Any

from callboard_contracts import names
from callboard_contracts.tool import Spec

_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "question": {
            "type": "string",
            "minLength": 1,
            "maxLength": 4000,
            "description": "One question, complete in itself: the person sees nothing else of your work.",
        },
        "choices": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 500},
            "minItems": 2,
            "maxItems": 50,
            "uniqueItems": True,
            "description": "The answers there are, if it is a choice.",
        },
        "schema": {"type": "object", "description": "JSON Schema of the answer; plain text when absent."},
        "context": {"type": "string", "maxLength": 16000, "description": "What the person must know to answer."},
    },
    "required": ["question"],
    "additionalProperties": False,
}
_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {}, "by": {"type": "string"}},
    "required": ["answer", "by"],
}

ASK = Spec(
    name=names.ASK,
    description="Ask a person a question and wait for the answer. Ask only what nobody but a person can tell.",
    input_schema=_INPUT,
    output_schema=_OUTPUT,
    effect="read",
    tags=("people",),
)
