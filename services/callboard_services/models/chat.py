"""The chat completions request, as OpenAI defined it and others read it. Pure."""

from typing import Any

from callboard_contracts import names, wire
from callboard_services.models import shape, told
from callboard_services.models.provider import Asked, Message, Prompt

LIMITS = ("max_tokens", "max_completion_tokens")
"""Every server knows the first, except OpenAI's newer models, which know only the second."""
_ID_CHARS = 40
"""OpenAI accepts no longer id of a tool call. The end of ours is what tells the calls of a run apart."""


def body(prompt: Prompt, limit: str = "max_tokens") -> dict[str, Any]:
    """Return the body of a request that streams. `limit` names the field that bounds the answer's tokens."""
    tools = {} if prompt.plain else {"tools": shape.functions(prompt.tools, prompt.contract)}
    return {
        "model": prompt.model,
        "messages": messages(prompt.messages),
        **tools,
        limit: prompt.max_output_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def adapted(body: dict[str, Any], refusal: str) -> dict[str, Any] | None:
    """Return the body without what a server refused in words, or None when nothing can be left out.

    Tools are left out only when the run has none: the control functions alone can be told in words.
    """
    less = dict(body)
    if "stream_options" in refusal:
        less.pop("stream_options", None)
    elif any(limit in refusal for limit in LIMITS):
        old, new = LIMITS if LIMITS[0] in less else LIMITS[::-1]
        less[new] = less.pop(old)
    elif "tool" in refusal and _only_control(body):
        less.pop("tools", None)
    return less if less.keys() != body.keys() else None


def messages(said: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Return a conversation in OpenAI's form."""
    return [_message(message) for message in told.merged(said)]


def _only_control(body: dict[str, Any]) -> bool:
    return all(one["function"]["name"] in shape.CONTROL for one in body.get("tools", []))


def _message(message: Message) -> dict[str, Any]:
    match message.role:
        case "tool":
            return {"role": "tool", "tool_call_id": _id(message.tool_call_id), "content": message.content}
        case "assistant" if message.asks:
            calls = [_call(ask) for ask in message.asks]
            return {"role": "assistant", "content": message.content or None, "tool_calls": calls}
        case role:
            return {"role": role, "content": message.content}


def _call(ask: Asked) -> dict[str, Any]:
    """Return a call as it is told again. Servers parse the arguments, so text that was no JSON is put into some."""
    arguments = {"not_json": ask.invalid[:500]} if ask.invalid else ask.arguments
    function = {"name": names.token(ask.tool), "arguments": wire.encode(arguments).decode()}
    return {"id": _id(ask.id), "type": "function", "function": function}


def _id(call: str) -> str:
    return call[-_ID_CHARS:]
