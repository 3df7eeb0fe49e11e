"""What a provider is: one prompt in, one answer out, text on the way. It keeps nothing between two prompts.

A provider raises `ProviderError` and nothing else, is safe to use for several prompts at once, and stops soon after
its task is cancelled.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from callboard_contracts import model, tool
from callboard_contracts.units import MicroUsd

Emit = Callable[[str], None]
"""Takes a piece of text as soon as the model has written it. Must not block."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tool call in an assistant message, under the id of the call that came of it."""

    id: str
    tool: str
    arguments: Any = None
    invalid: str = ""
    """The arguments as the model wrote them, when they were not JSON."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of the conversation. The first is the system's, the second states the goal."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    """Of a tool: its output as JSON, or `{"error": {"code", "message"}}`. Of the user, with `name`: words before it."""
    asks: tuple[Asked, ...] = ()
    """Of the assistant: the calls it wants. A message of each follows, in this order."""
    tool_call_id: str = ""
    """Of a tool: which `Asked` it answers. Of the user: which one was made again."""
    name: str = ""
    """Of a tool, also of one that was called again: its name, with dots."""
    failed: bool = False
    """Of a tool, also of one that was called again: `content` is an error."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a model."""

    model: str
    """The model's name as its provider knows it."""
    messages: tuple[Message, ...]
    tools: tuple[tool.Spec, ...] = ()
    """The run's tools; the control functions `finish` and `give_up` are the provider's to add."""
    contract: dict[str, Any]
    """JSON Schema of the output."""
    max_output_tokens: int = 1024
    timeout_s: float = 60.0
    plain: bool = False
    """A text is wanted and nothing else: no function is offered, not even `finish`."""
    turn: int = 0
    """How many answers, failed ones too, the run had before this one."""


class Tokens(msgspec.Struct, frozen=True):
    """What a provider says it counted."""

    input: int
    output: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a model."""

    answer: model.Answer
    tokens: Tokens | None = None
    """None: the provider did not say."""
    cost_micro_usd: MicroUsd | None = None
    """None: the provider did not say."""
    model: str = ""
    """The model that answered, in the provider's words."""


class Provider(Protocol):
    """Something that answers prompts."""

    async def complete(self, request: Prompt, emit: Emit) -> Reply:
        """Answer one prompt.

        :raises ProviderError: no answer, with a code of the catalogue.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections and memory."""
        ...
