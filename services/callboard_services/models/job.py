"""A call of `model` with everything it needs, and how it becomes a request that can be made. No waiting here."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from callboard_contracts import call, model, tool
from callboard_contracts.errors import CallboardError
from callboard_contracts.skill import Skill
from callboard_services.models import digest, history, prompt, summing, tokens
from callboard_services.models.catalogue import Catalogue
from callboard_services.models.errors import ProviderError
from callboard_services.models.prompt import Plan
from callboard_services.models.provider import Prompt, Provider, Tokens
from callboard_services.models.summing import Summing

TEXT: dict[str, Any] = {"type": "string"}
"""The contract of notes."""
_TO_SUM_UP = 4
"""How much more is read back to sum it up: where that failed before, more than a window lies behind."""
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
    plan: Plan | None = None
    """How the prompt of the run's next step came to be."""
    summing: Summing | None = None
    """What is to be summed up, when that is asked for."""

    @property
    def digest(self) -> str:
        """Of the prompt."""
        return digest.of(self.prompt)


def usable_bytes(asked: model.Request, catalogue: Catalogue) -> int:
    """Return how much of a run's records a prompt can use: twice the window, for results are cut when they are told."""
    try:
        window = catalogue.find(asked.model)[0].context_tokens or model.DEFAULT_WINDOW
    except CallboardError:  # it is told when the request is prepared
        window = model.DEFAULT_WINDOW
    usable = 2 * window * tokens.BYTES_PER_TOKEN * (_TO_SUM_UP if asked.summarise else 1)
    return min(_MOST_BYTES, max(_FEWEST_BYTES, usable))


def prepare(job: Job, catalogue: Catalogue) -> Request:
    """Prepare a request.

    :raises ProviderError: free: the model is unknown, the prompt does not fit, or the records are not a run's.
    """
    try:
        asked = msgspec.convert(job.call.arguments, model.Request)
        return (_summing if asked.summarise else _next_step)(job, asked, catalogue)
    except CallboardError as error:
        raise ProviderError(error.code, error.detail, retryable=False, free=True) from None
    except (LookupError, ImportError, msgspec.ValidationError) as error:
        raise ProviderError("internal", f"the call cannot be prepared: {error}", free=True) from None


def _next_step(job: Job, asked: model.Request, catalogue: Catalogue) -> Request:
    accepted = history.accepted(job.history)
    entry, choice = catalogue.find(asked.model or accepted.model)
    room = (entry.context_tokens or model.DEFAULT_WINDOW) - asked.max_output_tokens
    plan = prompt.plan(accepted, job.skill, job.history, job.offered, room)
    estimate = tokens.of_messages(plan.messages) + tokens.of_offer(job.offered, accepted.contract)
    made = Prompt(
        model=choice.target,
        messages=plan.messages,
        tools=job.offered,
        contract=accepted.contract,
        max_output_tokens=asked.max_output_tokens,
        turn=history.answered(job.history),
    )
    reserved = Tokens(asked.prompt_tokens or estimate, asked.max_output_tokens)
    return Request(prompt=made, provider=catalogue.provider(choice), model=entry, reserved=reserved, plan=plan)


def _summing(job: Job, asked: model.Request, catalogue: Catalogue) -> Request:
    entry, choice = catalogue.find(asked.model or history.accepted(job.history).model)
    window = entry.context_tokens or model.DEFAULT_WINDOW
    found = summing.prepare(job.history, job.skill, job.offered, window, asked.max_output_tokens)
    made = Prompt(
        model=choice.target,
        messages=found.messages,
        contract=TEXT,
        max_output_tokens=asked.max_output_tokens,
        plain=True,
        turn=history.answered(job.history),
    )
    reserved = Tokens(asked.prompt_tokens or tokens.of_messages(found.messages), asked.max_output_tokens)
    return Request(prompt=made, provider=catalogue.provider(choice), model=entry, reserved=reserved, summing=found)
