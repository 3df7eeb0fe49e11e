"""A call of `model` with everything it needs, and how it becomes a request that can be made. No waiting here."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from callboard_contracts import call, model, run, tool
from callboard_contracts.errors import CallboardError
from callboard_contracts.skill import Skill
from callboard_services.models import history, prompt, tokens
from callboard_services.models.catalogue import Catalogue
from callboard_services.models.errors import ProviderError
from callboard_services.models.provider import Message, Prompt, Provider, Tokens

DEFAULT_WINDOW = 32_768
"""Of a model that does not say how many tokens it reads."""
_FEWEST_BYTES = 256 * 1024
_MOST_BYTES = 16 * 1024 * 1024


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One call of `model` with everything it needs, gathered."""

    call: call.Call
    """Its arguments, read back from the blob store if they were there, are a `model.Request`."""
    history: tuple[history.Entry, ...]
    """The run's records up to the one that asked, with the results they took, as far as the window can use them."""
    outputs: Callable[[], AsyncGenerator[Any, None]]
    """Everything that the tools returned in the whole run, to look an answer up in it."""
    offered: tuple[tool.Spec, ...] = ()
    """The specs of the request's tools that are known."""
    skill: Skill | None = None


class Request(msgspec.Struct, frozen=True):
    """A request that can be made: the prompt, whom to ask, and how to charge it."""

    prompt: Prompt
    provider: Provider
    model: tool.Model
    reserved: Tokens


def usable_bytes(asked: model.Request, catalogue: Catalogue) -> int:
    """Return how much of a run's records a prompt can use: twice the window, for results are cut when they are told."""
    try:
        window = catalogue.find(asked.model)[0].context_tokens or DEFAULT_WINDOW
    except CallboardError:  # it is told when the request is prepared
        window = DEFAULT_WINDOW
    return min(_MOST_BYTES, max(_FEWEST_BYTES, 2 * window * tokens.BYTES_PER_TOKEN))


def prepare(job: Job, catalogue: Catalogue) -> Request:
    """Prepare a request.

    :raises ProviderError: free: the model is unknown, the prompt does not fit, or the records are not a run's.
    """
    try:
        request = msgspec.convert(job.call.arguments, model.Request)
        accepted = history.accepted(job.history)
        entry, choice = catalogue.find(request.model or accepted.model)
        messages = _messages(job, accepted, (entry.context_tokens or DEFAULT_WINDOW) - request.max_output_tokens)
        return Request(
            prompt=Prompt(
                model=choice.target,
                messages=messages,
                tools=job.offered,
                contract=accepted.contract,
                max_output_tokens=request.max_output_tokens,
                turn=history.answered(job.history),
            ),
            provider=catalogue.provider(choice),
            model=entry,
            reserved=Tokens(request.prompt_tokens or _estimate(job, accepted, messages), request.max_output_tokens),
        )
    except CallboardError as error:
        raise ProviderError(error.code, error.detail, retryable=False, free=True) from None
    except (LookupError, ImportError, msgspec.ValidationError) as error:
        raise ProviderError("internal", f"the call cannot be prepared: {error}", free=True) from None


def _messages(job: Job, accepted: run.Accepted, window_tokens: int) -> tuple[Message, ...]:
    return prompt.build(accepted, job.skill, job.history, job.offered, window_tokens)


def _estimate(job: Job, accepted: run.Accepted, messages: tuple[Message, ...]) -> int:
    return tokens.of_messages(messages) + tokens.of_offer(job.offered, accepted.contract)
