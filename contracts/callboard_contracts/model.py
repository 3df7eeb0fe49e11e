"""What goes into and comes out of a call of the tool `model`.

The request carries no transcript: the executor reads the run's records back from the record that asked, so bytes
per turn stay flat however long the run is.
"""

from typing import Any, Final

import msgspec

from callboard_contracts.window import Part

DEFAULT_WINDOW: Final = 32_768
"""How many tokens a model is taken to read that does not say it."""


class Request(msgspec.Struct, tag="model.request.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The arguments of a `model` call."""

    model: str
    tools: tuple[str, ...] = ()
    """The tools to offer, by name."""
    max_output_tokens: int = 1024
    prompt_tokens: int = 0
    """The planner's estimate of the prompt, from which the guard reserves."""
    summarise: bool = False
    """Not a step of the run: sum up its older steps, for it outgrows the window. Answered by `model.summary.v1`."""
    summary: int = 0
    """The sequence of the result with the run's standing summary, which takes the place of the steps it covers."""


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


class Did(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Calls of one tool with one outcome, as the run's records have them."""

    tool: str
    outcome: str = ""
    """Empty: completed; else the code of what went wrong."""
    count: int = 1
    """How many calls."""
    arguments: tuple[str, ...] = ()
    """Their arguments in short, each once, in order. `7…12` are numbers in a row, `earlier ones` what is gone."""


class Summary(msgspec.Struct, tag="model.summary.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The output of a `model` call that was to summarise: it stands for all steps of the run up to a record.

    Only `text` was written by a model. The rest is a fold of the records, so that what was done is never made up.
    """

    text: str
    through: int
    """The sequence of the last record that is covered."""
    of: str = ""
    """The run whose record that is, when it is one that this run takes up again; empty: this run's own."""
    answers: int = 0
    """How many answers of the model are covered, since the run began."""
    did: tuple[Did, ...] = ()
    """What was called in the steps that are covered."""
    said: tuple[str, ...] = ()
    """What persons said in them, word for word; the oldest may be gone."""
    context_tokens: int = 0
    """An estimate of the next prompt."""
    before: int = 0
    """The sequence of the result with the summary that this one replaces; 0: it is the first."""


class Prompt(msgspec.Struct, tag="model.prompt.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The window of one turn, built again from the records. The answer to `ask.models.prompt`."""

    run: str
    turn: int
    """How many times the model had been asked in the run, this time included."""
    call: str
    """The call that asked it."""
    model: str
    """The model, by its name in the registry."""
    source: int = 0
    """The sequence of the record that asked."""
    result: int = 0
    """The sequence of the result; 0: there is none yet."""
    digest: str = ""
    """Of the prompt as it is built today."""
    recorded: str = ""
    """The digest that the result names; empty: there is no result yet, or it is older than digests."""
    exact: bool = False
    """Both are the same: this is, to the byte, what was sent."""
    window_tokens: int = 0
    """How many tokens the model reads."""
    answer_tokens: int = 0
    """What of them is kept free for the answer."""
    tokens: int = 0
    """What was sent, tools included, by the estimate that bounds the window."""
    counted_tokens: int = 0
    """What the provider counted; 0: it did not say, or there is no result."""
    tools: tuple[str, ...] = ()
    """The tools that were offered, by name."""
    parts: tuple[Part, ...] = ()
    """In the order in which they were sent; what was not sent stands where it would have been."""
    summary: int = 0
    """The sequence of the result with the summary that stands in it; 0: none."""
    summarised: int = 0
    """How many answers of the model that summary stands for."""
    dropped: int = 0
    """How many answers of the model were left out."""
    more: bool = False
    """Contents were asked for and are too large for one message: those of the later parts are missing."""
