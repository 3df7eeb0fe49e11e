"""How many tokens a text has, estimated from above without any model's tokenizer: three bytes of UTF-8 a token.

English has about four bytes a token and JSON about three; Chinese has three bytes a character and about one token.
The estimate bounds prompts and stands in for usage that a provider did not report; it is never called a measurement.
"""

from collections.abc import Iterable
from typing import Any

from callboard_contracts import tool, wire
from callboard_services.models.provider import Asked, Message

BYTES_PER_TOKEN = 3
PER_MESSAGE = 6
"""Role, separators and ids of one message."""
PER_TOOL = 16
CONTROL = 160
"""The descriptions of `finish` and `give_up`."""


def of_text(text: str) -> int:
    """Return the estimate for a text."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def of_json(value: Any) -> int:
    """Return the estimate for a value's JSON."""
    return -(-len(wire.encode(value)) // BYTES_PER_TOKEN)


def of_message(message: Message) -> int:
    """Return the estimate for one message with its calls."""
    ids = of_text(message.tool_call_id) + of_text(message.name)
    return PER_MESSAGE + ids + of_text(message.content) + sum(map(_of_ask, message.asks))


def of_messages(messages: Iterable[Message]) -> int:
    """Return the estimate for a conversation."""
    return sum(map(of_message, messages))


def of_offer(tools: Iterable[tool.Spec], contract: dict[str, Any]) -> int:
    """Return the estimate for the functions a model is offered: the run's tools, `finish` and `give_up`."""
    return CONTROL + of_json(contract) + sum(map(_of_tool, tools))


def _of_ask(ask: Asked) -> int:
    return PER_MESSAGE + of_text(ask.id) + of_text(ask.tool) + of_text(ask.invalid) + of_json(ask.arguments)


def _of_tool(spec: tool.Spec) -> int:
    return PER_TOOL + of_text(spec.name) + of_text(spec.description) + of_json(spec.input_schema)
