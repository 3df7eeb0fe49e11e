"""What the model may write: the tool's or the contract's own JSON Schema, its free strings narrowed to what was read.

A string is one of the runs of words of the goal (arguments) or one of the values that were found (output), so that
nothing is invented. Which of them it is, the model decides.
"""

import json
from collections.abc import Sequence
from typing import Any

from callboard_contracts import tool

Schema = dict[str, Any]
UNBOUNDED = 200
"""The most characters of a string that no schema bounds."""


def of_arguments(spec: tool.Spec, names: Sequence[str], strings: Sequence[str]) -> Schema:
    """Return the schema of the arguments that the model writes."""
    properties = spec.input_schema.get("properties", {})
    return _object({name: _narrowed(properties.get(name, {}), strings) for name in names}, spec.input_schema)


def of_output(contract: Schema, values: Sequence[str]) -> Schema:
    """Return the contract with its strings and numbers narrowed to the values found; only what is required."""
    return {"type": "object", "properties": {"answer": _narrowed(contract, values)}, "required": ["answer"],
            "additionalProperties": False, **_definitions(contract)}  # fmt: skip


def shaped(contract: Schema, value: str) -> Any:
    """Return a value in the shape of the contract, for a worked example."""
    match contract.get("type"):
        case "object":
            names = contract.get("required") or list(contract.get("properties", {}))
            return {name: shaped(contract.get("properties", {}).get(name, {}), value) for name in names}
        case "array":
            return [shaped(contract.get("items", {}), value)]
        case "number" | "integer":
            return number(value) or 0
        case _:
            return value


def number(text: str) -> int | float | None:
    """Return a text as a number, None when it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def _narrowed(schema: Schema, values: Sequence[str]) -> Schema:
    if "enum" in schema or "const" in schema or "$ref" in schema:
        return schema
    match schema.get("type"):
        case "string":
            most = min(schema.get("maxLength", UNBOUNDED), UNBOUNDED)
            fit = [value for value in values if schema.get("minLength", 0) <= len(value) <= most]
            return {"enum": fit} if fit else {"type": "string", "maxLength": most}
        case "number" | "integer":
            whole = int if schema["type"] == "integer" else (int, float)
            found = [one for value in values if isinstance(one := number(value), whole)]
            return {"enum": found} if found else schema
        case "array":
            return schema | {"items": _narrowed(schema.get("items", {}), values), "maxItems": schema.get("maxItems", 8)}
        case "object":
            names = schema.get("required") or list(schema.get("properties", {}))
            return _object({name: _narrowed(schema["properties"][name], values) for name in names}, {})
        case _:
            return schema


def _object(properties: Schema, root: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **_definitions(root),
    }


def _definitions(schema: Schema) -> Schema:
    return {key: schema[key] for key in ("$defs", "definitions") if key in schema}
