"""What goes into and comes out of a call of the tool `model`.

The request carries no transcript: the executor reads the run's records back from the record that asked, so bytes
per turn stay flat however long the run is.
"""

from typing import Any

import msgspec


class Request(msgspec.Struct, tag="model.request.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The arguments of a `model` call."""

    model: str
    tools: tuple[str, ...] = ()
    """The tools to offer, by name."""
    max_output_tokens: int = 1024
    prompt_tokens: int = 0
    """The planner's estimate of the prompt, from which the guard reserves."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tool call that the model wants."""

    tool: str
    arguments: Any = None
    arguments_ref: str = ""
    """The digest of the arguments when they are over 32 KiB."""
    invalid: str = ""
    """The arguments as the model wrote them, when they were not JSON."""


class Answer(msgspec.Struct, tag="model.answer.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The output of a `model` call: tools to use, or an output, or a reason to give up."""

    text: str = ""
    """What the model said beside it."""
    asks: tuple[Ask, ...] = ()
    finished: bool = False
    """`output` is the model's answer to the goal."""
    output: Any = None
    output_ref: str = ""
    """The digest of the output in the blob store when it is over 32 KiB; then `output` is absent."""
    give_up: str = ""
    """Why the goal cannot be reached, in the model's words."""
    ungrounded: tuple[str, ...] = ()
    """JSON pointers of values in `output` that occur in no tool result of the run."""
