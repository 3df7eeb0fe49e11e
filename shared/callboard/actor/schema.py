"""JSON Schema, for contracts and arguments: what is wrong, in words that a model or a person can act on."""

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

_MOST = 8


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Any:
    # offline: a contract may be written by a model or a stranger; a `$ref` must open no URL and read no file
    return jsonschema_rs.validator_for(msgspec.json.decode(schema), offline=True)


def check_schema(schema: Any) -> str:
    """Return why this is not a usable JSON Schema, empty when it is one."""
    if not isinstance(schema, dict):
        return "a JSON Schema is an object"
    try:
        _validator(msgspec.json.encode(schema))
    except (jsonschema_rs.ValidationError, ValueError, jsonschema_rs.ReferencingError) as error:
        return _first_line(error)
    return ""


def violations(schema: dict[str, Any], value: Any) -> tuple[str, ...]:
    """Return what of a value does not fit a schema, at most eight sentences; empty when it fits."""
    found: list[str] = []
    for error in _validator(msgspec.json.encode(schema)).iter_errors(value):
        where = "/".join(str(part) for part in error.instance_path)
        found.append(f"at /{where}: {_first_line(error)}" if where else _first_line(error))
        if len(found) == _MOST:
            break
    return tuple(found)


def _first_line(error: Exception) -> str:
    text = getattr(error, "message", "") or str(error)
    return str(text).split("\n", 1)[0][:300]
