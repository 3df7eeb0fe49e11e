"""JSON Schemas that strangers send. Nothing they refer to is fetched: no URL, no file, on pain of refusal."""

from typing import Any

import jsonschema_rs

_MOST = 5


def problem_of(schema: dict[str, Any]) -> str:
    """Return why this cannot be used as a JSON Schema, empty when it can."""
    try:
        jsonschema_rs.validator_for(schema, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return _line(error)
    return ""


def violations(schema: dict[str, Any], value: Any) -> list[str]:
    """Return what of a value does not fit a schema, at most five sentences; empty when it fits."""
    validator = jsonschema_rs.validator_for(schema, offline=True)
    found: list[str] = []
    for error in validator.iter_errors(value):
        where = "/".join(map(str, error.instance_path))
        found.append(f"at /{where}: {_line(error)}")
        if len(found) == _MOST:
            break
    return found


def _line(error: Exception) -> str:
    text = str(getattr(error, "message", "") or error)
    return text.split("\n", 1)[0][:300]
