"""A prompt read back as what is wanted and what was seen. Pure: the provider keeps nothing between two prompts."""

from collections.abc import Iterable
from typing import Any

import msgspec

from callboard_services.models import told
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
    before: bool = False
    """It was seen before a person said something."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the messages say: what is wanted, what was seen, which outputs were not accepted."""

    goal: str
    said: tuple[str, ...] = ()
    """What a person said on the way."""
    seen: tuple[Seen, ...] = ()
    refused: tuple[Any, ...] = ()

    @property
    def wanted(self) -> str:
        """The goal, and what a person said on the way."""
        return " ".join((self.goal, *self.said))

    def of(self, tool: str) -> tuple[Seen, ...]:
        """Return the calls of one tool that succeeded."""
        return tuple(one for one in self.seen if one.tool == tool and not one.failed)


def read(prompt: Prompt) -> State:
    """Return what the messages say."""
    reading = _Reading(prompt.messages)
    for message in prompt.messages:
        reading.take(message)
    return State(
        goal=_goal(next((m.content for m in prompt.messages if m.role == "user"), "")),
        said=tuple(reading.said),
        seen=tuple(reading.seen.values()),
        refused=tuple(parse(content) for content in reading.refused),
    )


class _Reading:
    """What was read so far."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._asks = {ask.id: ask for message in messages for ask in message.asks}
        self._output = False
        """The message before was an output."""
        self.said: list[str] = []
        self.seen: dict[str, Seen] = {}
        self.refused: list[str] = []

    def take(self, message: Message) -> None:
        """Take the next message. An output is not refused when what came behind it is only that a person spoke."""
        person = message.role == "user" and message.content.startswith(told.PERSON)
        if self._output and (person or message.name):
            self.refused.pop()
        self._output = _is_output(message)
        if self._output:
            self.refused.append(message.content)
        elif message.name:
            self._result(message)
        elif person:
            self.said.append(message.content.removeprefix(told.PERSON))
            self.seen = {id_: msgspec.structs.replace(one, before=True) for id_, one in self.seen.items()}

    def _result(self, message: Message) -> None:
        """Take a result; that of a call that was made again takes the place of the first."""
        _, again, value = message.content.partition(told.AGAIN)
        content = value if message.role == "user" and again else message.content
        self.seen.pop(message.tool_call_id, None)
        self.seen[message.tool_call_id] = Seen(
            tool=message.name,
            arguments=_arguments(self._asks.get(message.tool_call_id)),
            value=parse(content),
            failed=message.failed,
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
