"""What an answer of a model means: the run's next step, with what is not grounded in it, or a summary."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import anyio.to_thread
import msgspec

from callboard.bus import BusError
from callboard_contracts import model
from callboard_services.models import grounding, history
from callboard_services.models.errors import ProviderError
from callboard_services.models.job import Job, Request
from callboard_services.models.provider import Reply

_LOOK_AGAIN_S = 1.0

Sleep = Callable[[float], Awaitable[None]]


async def of(
    asked: Request, reply: Reply, job: Job, left_s: Callable[[], float], sleep: Sleep
) -> model.Answer | model.Summary:
    """Return what an answer means.

    :raises ProviderError: it means nothing, or `unavailable`: the results cannot be read. What it cost is charged.
    """
    if asked.summing is None:
        return await _grounded(reply, job, left_s, sleep)
    try:
        return asked.summing.summary(reply.answer)
    except ProviderError as error:
        raise ProviderError(error.code, error.message, tokens=reply.tokens) from None


async def _grounded(reply: Reply, job: Job, left_s: Callable[[], float], sleep: Sleep) -> model.Answer:
    """Say which values of an output occur in no result, where the goal wants to know."""
    if not reply.answer.finished or not history.accepted(job.history).goal.grounded:
        return reply.answer
    while True:
        try:
            return msgspec.structs.replace(reply.answer, ungrounded=await _missing(reply.answer.output, job))
        except (BusError, LookupError) as error:
            if isinstance(error, LookupError) or left_s() <= _LOOK_AGAIN_S:
                raise ProviderError("unavailable", f"the run's results: {error}", tokens=reply.tokens) from None
        await sleep(_LOOK_AGAIN_S)


async def _missing(output: Any, job: Job) -> tuple[str, ...]:
    claims = grounding.Claims(output)
    async with aclosing(job.outputs()) as results:
        async for result in results:
            # Results may be megabytes, and other calls stream meanwhile.
            if not await anyio.to_thread.run_sync(claims.look, result):
                break
    return claims.missing
