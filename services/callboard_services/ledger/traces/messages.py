"""Messages of models and persons, in the JSON that the conventions ask for. Pure."""

from typing import Any, Final

from callboard_contracts import wire
from callboard_contracts.window import Spoken

_MOST_BYTES: Final = 128 * 1024
"""Of one attribute. What is larger is told by its size."""


def message(role: str, *said: Any) -> dict[str, Any]:
    """Return a message of plain values; what is no text is told as JSON."""
    return {"role": role, "parts": [{"type": "text", "content": text(one)} for one in said]}


def spoken(one: Spoken) -> dict[str, Any]:
    """Return a message of a prompt."""
    if one.role == "tool":
        return {"role": "tool", "parts": [{"type": "tool_call_response", "id": one.call, "response": one.content}]}
    parts: list[dict[str, Any]] = [{"type": "text", "content": one.content}] if one.content else []
    asked = [{"type": "tool_call", "id": c["id"], "name": c["tool"], "arguments": c["arguments"]} for c in one.calls]
    return {"role": one.role, "parts": [*parts, *asked]}


def text(value: Any) -> str:
    """Return a text as it is, and anything else as JSON."""
    return value if isinstance(value, str) else json(value)


def json(value: Any) -> str:
    """Return a value as JSON."""
    return wire.encode(value).decode()


def bounded(text: str) -> str:
    """Return what fits into an attribute, or how large it is."""
    size = len(text.encode())
    return text if size <= _MOST_BYTES else json({"omitted_bytes": size})
