"""Reads what a model wrote where JSON was wanted, and tells whether plain text will do. Pure."""

import re
from typing import Any

import msgspec

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


def strict_json(text: str) -> Any:
    """Return the JSON that a text is; `msgspec.UNSET` when it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return msgspec.UNSET


def loose_json(text: str) -> Any:
    """Return the JSON that a text is or holds in a fence, the last one first; `msgspec.UNSET` when there is none."""
    found = (strict_json(candidate) for candidate in (text, *reversed(_FENCE.findall(text))))
    return next((value for value in found if value is not msgspec.UNSET), msgspec.UNSET)


def admits_string(contract: Any, root: Any = None) -> bool:
    """Tell whether a JSON Schema admits a string. Only its shape is looked at, not lengths or patterns."""
    if not isinstance(contract, dict):
        return contract is True
    root = contract if root is None else root
    return (
        _typed(contract)
        and all(admits_string(one, root) for one in contract.get("allOf", []))
        and any(admits_string(one, root) for one in contract.get("anyOf", [True]))
        and any(admits_string(one, root) for one in contract.get("oneOf", [True]))
        and _referred(contract.get("$ref"), root)
    )


def _typed(contract: dict[str, Any]) -> bool:
    kinds = contract.get("type", "string")
    typed = "string" in (kinds if isinstance(kinds, list) else [kinds])
    listed = any(isinstance(value, str) for value in contract.get("enum", [""]))
    return typed and listed and isinstance(contract.get("const", ""), str)


def _referred(ref: Any, root: Any) -> bool:
    """Follow a reference into the definitions, one level; what leads elsewhere is taken to admit a string."""
    match ref.split("/") if isinstance(ref, str) else []:
        case ["#", ("$defs" | "definitions") as where, name]:
            found = root.get(where, {}).get(name, True)
            return found is True or "$ref" in found or admits_string(found, root)
        case _:
            return True
