"""The parts of a prompt, as people are shown it: see `model.Prompt`."""

from typing import Any, Literal

import msgspec

Kind = Literal[
    "rules", "contract", "skill", "goal", "preferences",
    "did", "summary", "said", "step", "note", "again", "gap", "tools",
]  # fmt: skip
State = Literal["kept", "cut", "elided", "dropped", "summarised"]


class Spoken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a prompt, as every provider is told it in its own form."""

    role: str
    """`system`, `user`, `assistant` or `tool`."""
    content: str = ""
    """Its text."""
    calls: tuple[Any, ...] = ()
    """Of the assistant: the calls it asked for, each with `id`, `tool` and `arguments`."""
    call: str = ""
    """Of a tool: the call it answers."""
    tool: str = ""
    """Of a tool: its name."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a prompt: what it is, how much of the window it takes, and where it comes from."""

    kind: Kind
    """What it is; `gap`: the line that stands for steps that were left out; `tools`: what the model may call."""
    state: State = "kept"
    """`cut`: a result is shown in part; `elided`: a result gave way to a line; `dropped`, `summarised`: not sent."""
    title: str = ""
    """What it is about, in a line."""
    tokens: int = 0
    """By the estimate that bounds the window; of a part that was not sent: what it would have taken."""
    bytes: int = 0
    """Of its text."""
    steps: int = 0
    """Of what is not sent, or stands for what is not: how many answers of the model."""
    sources: tuple[int, ...] = ()
    """The sequences of the records and results it was made from, in the journal of its run."""
    messages: tuple[Spoken, ...] = ()
    """What was sent, when contents were asked for."""
