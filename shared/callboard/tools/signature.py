"""From a typed Python function to what the model, the guard and the executor need to know of it."""

import copy
import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from callboard.tools.context import ToolContext
from callboard.tools.errors import ToolError
from callboard_contracts.errors import CallboardError

_REF = "#/$defs/{name}"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A function's parameters and result. `arguments` is the struct that a call's arguments become."""

    arguments: type[msgspec.Struct]
    context: str
    """The parameter that takes the ToolContext, empty when none does."""
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None


def read(function: Callable[..., Any]) -> Signature:
    """Read a function's annotations.

    :raises CallboardError: `invalid_tool`, with the parameter that cannot be used.
    """
    name = getattr(function, "__name__", repr(function))
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise CallboardError("invalid_tool", f"{name}: an annotation cannot be read: {error}") from None
    parameters = inspect.signature(function).parameters.values()
    context = next((p.name for p in parameters if hints.get(p.name) is ToolContext), "")
    fields = [_field(name, p, hints) for p in parameters if p.name != context]
    try:
        arguments = msgspec.defstruct(f"{name}_arguments", fields, kw_only=True, forbid_unknown_fields=True)
        return Signature(
            arguments=arguments,
            context=context,
            input_schema=schema_of(arguments),
            output_schema=_output(hints),
        )
    except (TypeError, ValueError) as error:
        raise CallboardError("invalid_tool", f"{name}: {error}") from None


def values(signature: Signature, arguments: Any) -> dict[str, Any]:
    """Return a call's arguments as the function takes them, by name.

    :raises ToolError: `arguments_invalid`.
    """
    try:
        given = msgspec.convert(arguments, signature.arguments)
    except msgspec.ValidationError as error:
        raise ToolError(str(error), code="arguments_invalid") from None
    return {name: getattr(given, name) for name in given.__struct_fields__}


def schema_of(type_: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type, in which no object takes a field that it does not name.

    :raises TypeError: msgspec cannot read such a type.
    """
    (schema,), parts = msgspec.json.schema_components([type_], ref_template=_REF)
    if (reference := schema.get("$ref", "")).startswith("#/$defs/"):
        schema = parts.pop(reference.removeprefix("#/$defs/")) if not _refers(parts, reference) else schema
    for part in (schema, *parts.values()):
        part.pop("title", None)
        if "properties" in part:
            part.setdefault("additionalProperties", False)
    return schema | ({"$defs": parts} if parts else {})


def _refers(parts: dict[str, Any], reference: str) -> bool:
    """Tell whether a type contains itself, so that it must stay among the parts."""
    return f'"{reference}"'.encode() in msgspec.json.encode(parts)


def _output(hints: dict[str, Any]) -> dict[str, Any] | None:
    promised = hints.get("return", Any)
    return None if promised is Any else schema_of(promised)


def _field(name: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise CallboardError("invalid_tool", f"{name}: {parameter} cannot be given by name")
    if parameter.name not in hints:
        raise CallboardError("invalid_tool", f"{name}: the parameter {parameter.name!r} has no type")
    if parameter.default is parameter.empty:
        return (parameter.name, hints[parameter.name])
    return (parameter.name, hints[parameter.name], _default(parameter.default))


def _default(value: Any) -> Any:
    if isinstance(value, (list, dict, set)):
        return msgspec.field(default_factory=lambda: copy.deepcopy(value))
    return msgspec.field(default=value)
