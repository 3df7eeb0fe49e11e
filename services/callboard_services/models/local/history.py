"""A prompt read back as what is wanted and what was seen. Pure: the provider keeps nothing between two prompts."""

from typing import Any

import msgspec

from callboard_services.models.provider import Message, Prompt

_INPUT = "\n\nInput, as JSON:\n"
_UNSAID = "Do what the skill "
"""How the prompt begins a goal whose objective is left to its skill: then the input says what is wanted."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a tool with its result; `failed`: it is an error."""

    tool: str
    arguments: dict[str, Any]
    value: Any
    failed: bool


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the messages say: what is wanted, what was seen, which outputs were not accepted."""

    goal: str
    seen: tuple[Seen, ...] = ()
    refused: tuple[Any, ...] = ()

    def of(self, tool: str) -> tuple[Seen, ...]:
        """Return the calls of one tool that succeeded."""
        return tuple(one for one in self.seen if one.tool == tool and not one.failed)


def read(prompt: Prompt) -> State:
    """Return what the messages say."""
    asks = {ask.id: ask for message in prompt.messages for ask in message.asks}
    told = [message for message in prompt.messages if message.role == "tool"]
    seen = (
        Seen(tool=m.name, arguments=_arguments(asks.get(m.tool_call_id)), value=parse(m.content), failed=m.failed)
        for m in told
    )
    return State(
        goal=_goal(next((m.content for m in prompt.messages if m.role == "user"), "")),
        seen=tuple(seen),
        refused=tuple(parse(m.content) for m in prompt.messages if _is_output(m)),
    )


def parse(content: str) -> Any:
    """Return the value of JSON; any other text as it is."""
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return content


def texts(value: Any) -> list[str]:
    """Return every scalar in a value as text, in order."""
    match value:
        case dict():
            return [text for one in value.values() for text in texts(one)]
        case list():
            return [text for one in value for text in texts(one)]
        case None | bool():
            return []
        case _:
            return [str(value)]


def _goal(content: str) -> str:
    objective, found, given = content.partition(_INPUT)
    if not found:
        return objective.strip()
    parts = [] if objective.startswith(_UNSAID) else [objective.strip()]
    return " ".join([*parts, *texts(parse(given))])


def _arguments(ask: Any) -> dict[str, Any]:
    return ask.arguments if ask is not None and isinstance(ask.arguments, dict) else {}


def _is_output(message: Message) -> bool:
    return message.role == "assistant" and bool(message.content) and not message.asks
