"""How a model that calls functions shapes its answer: besides the run's tools it has `finish` and `give_up`. Pure.

A text without any call counts as the output: as it is where the contract admits a string, else as the JSON in it,
else again as it is, so that the planner's validation tells the model. Asks for tools win over `finish` in the same
answer. Whatever was cut off is never taken for complete: it becomes an ask that is `invalid`.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from callboard_contracts import model, names, tool
from callboard_services.models import loose
from callboard_services.models.errors import ProviderError
from callboard_services.models.provider import Tokens

FINISH = "finish"
GIVE_UP = "give_up"
CONTROL = (FINISH, GIVE_UP)

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)


class RawCall(msgspec.Struct, frozen=True):
    """A function call as the model wrote it."""

    name: str
    arguments: str


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as the model wrote it."""

    text: str = ""
    calls: tuple[RawCall, ...] = ()
    refusal: str = ""
    """Why the provider's own policy refused, in its words."""
    cut: bool = False
    """It ended at the limit of output tokens."""
    tokens: Tokens | None = None


def functions(tools: Sequence[tool.Spec], contract: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the functions to offer, in OpenAI's form. A tool named like a control function is not offered."""
    own = [_function(names.token(one.name), one.description, one.input_schema) for one in _nameable(tools)]
    reason = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
    return [
        *own,
        _function(FINISH, "The objective is reached: hand over the output.", _finish(contract)),
        _function(GIVE_UP, "The objective cannot be reached: say why.", reason),
    ]


def read(raw: Raw, contract: dict[str, Any]) -> model.Answer:
    """Return what the model means.

    :raises ProviderError: `provider_empty`, when it said nothing.
    """
    text = _THOUGHT.sub("", raw.text)
    asks = tuple(_ask(one, raw.cut and at == len(raw.calls) - 1) for at, one in enumerate(raw.calls))
    control = next((ask for ask in asks if ask.tool in CONTROL and not ask.invalid), None)
    wanted = tuple(ask for ask in asks if ask.tool not in CONTROL or ask.invalid)
    if wanted:
        return model.Answer(text=_noted(text, control), asks=wanted)
    if control is not None:
        return _controlled(control, text)
    if raw.refusal:
        return model.Answer(give_up=raw.refusal, text=text)
    return _from_text(text, raw, contract)


def _nameable(tools: Sequence[tool.Spec]) -> list[tool.Spec]:
    return [one for one in tools if one.name not in CONTROL]


def _function(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _finish(contract: dict[str, Any]) -> dict[str, Any]:
    """Wrap the contract; its definitions move to the root, where its references look for them."""
    moved = {key: value for key, value in contract.items() if key in ("$defs", "definitions")}
    output = {key: value for key, value in contract.items() if key not in moved and key not in ("$schema", "$id")}
    return {"type": "object", "properties": {"output": output}, "required": ["output"], **moved}


def _ask(raw: RawCall, cut: bool) -> model.Ask:
    """Read one call. No arguments at all are an empty object, unless they were cut off."""
    name, text = _name(raw.name), raw.arguments.strip()
    if not text:
        return model.Ask(tool=name, invalid="(cut off)") if cut else model.Ask(tool=name, arguments={})
    found = loose.strict_json(text)
    invalid = found is msgspec.UNSET
    return model.Ask(tool=name, invalid=raw.arguments) if invalid else model.Ask(tool=name, arguments=found)


def _name(function: str) -> str:
    """Return the tool's name. `model` is how the planner asks, not a tool of the run: the guard must not know it."""
    name = names.tool(function)
    return f"unknown.{name}" if name == names.MODEL else name


def _noted(text: str, dropped: model.Ask | None) -> str:
    note = "" if dropped is None else f"[{dropped.tool} was passed over: tools were called in the same answer]"
    return "\n".join(part for part in (text, note) if part)


def _controlled(ask: model.Ask, text: str) -> model.Answer:
    given = ask.arguments if isinstance(ask.arguments, dict) else {}
    if ask.tool == GIVE_UP:
        return model.Answer(give_up=str(given.get("reason") or text or "the model gave no reason"), text=text)
    return model.Answer(finished=True, output=given.get("output", ask.arguments), text=text)


def _from_text(text: str, raw: Raw, contract: dict[str, Any]) -> model.Answer:
    if not text.strip():
        raise ProviderError("provider_empty", "the model's answer holds nothing", tokens=raw.tokens)
    if raw.cut:
        return model.Answer(asks=(model.Ask(tool=FINISH, invalid=text),))
    found = msgspec.UNSET if loose.admits_string(contract) else loose.loose_json(text)
    return model.Answer(finished=True, output=text if found is msgspec.UNSET else found, text=text)
