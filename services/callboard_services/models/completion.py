"""A chat completion and its pieces as servers write them: only what is used, everything optional, types lenient."""

from typing import Any

import msgspec


class Function(msgspec.Struct, frozen=True):
    """The function of a tool call, or a piece of it. Arguments are text, from some servers an object."""

    name: str | None = None
    arguments: Any = None


class ToolDelta(msgspec.Struct, frozen=True):
    """A tool call, or a piece of it."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct, frozen=True):
    """A message, or a piece of it. Content is text, from some servers a list of parts."""

    content: Any = None
    refusal: str | None = None
    tool_calls: list[ToolDelta] | None = None


class Choice(msgspec.Struct, frozen=True):
    """One answer, or a piece of it."""

    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class Counts(msgspec.Struct, frozen=True):
    """What a server counted, and for some what it cost in US dollars."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Any = None


class Chunk(msgspec.Struct, frozen=True):
    """A completion, or a piece of it."""

    choices: list[Choice] | None = None
    usage: Counts | None = None
    model: str | None = None
    error: Any = None


def text_of(content: Any) -> str:
    """Return the text of a message's content: it is text, or a list of parts of which some are text."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def words_of(error: Any) -> str:
    """Return what an error says: `{"message"}`, or anything."""
    told = error.get("message") if isinstance(error, dict) else error
    return str(told or error)
