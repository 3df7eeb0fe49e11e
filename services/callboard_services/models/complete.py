"""One call of `model`: asks the provider, retries what cost nothing, and says what it cost.

Promises: every call ends in `Completed` or `Failed` with a code of the catalogue, within its time. Whatever may have
cost is asked once. What is not known to be free, and was not counted by the provider, is charged as reserved.
"""

import zlib
from collections.abc import Awaitable, Callable
from time import monotonic

import anyio
import msgspec
import structlog

from callboard_contracts import call, tool, units
from callboard_services.models import meaning
from callboard_services.models.catalogue import Catalogue
from callboard_services.models.errors import ProviderError
from callboard_services.models.job import Job, Request, prepare
from callboard_services.models.provider import Emit, Reply, Tokens

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 20.0

__all__ = ["Deps", "Job", "answer", "wait_s"]

log = structlog.get_logger()


class Deps(msgspec.Struct, frozen=True, kw_only=True):
    """What answering needs of the world."""

    catalogue: Catalogue
    emit: Emit = lambda _: None
    """Takes text as the model writes it. After a retry it may come again from the start."""
    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep


async def answer(job: Job, deps: Deps) -> call.Completed | call.Failed:
    """Answer one call. Cancelling it stops the provider."""
    started = deps.clock()
    try:
        asked = prepare(job, deps.catalogue)
    except ProviderError as error:
        return _failed(job, error, call.Usage())
    try:
        reply = await _persistently(asked, job.call, deps, started + job.call.timeout_s)
        deadline = started + job.call.timeout_s
        said = await meaning.of(asked, reply, job, lambda: deadline - deps.clock(), deps.sleep)
    except ProviderError as error:
        used = call.Usage(model=asked.model.name) if error.free else _usage(asked, error.tokens)
        return _failed(job, error, _timed(used, deps.clock() - started))
    used = _timed(_usage(asked, reply.tokens, reply.cost_micro_usd), deps.clock() - started)
    return call.Completed(call=job.call.id, output=msgspec.to_builtins(said), usage=used)


def wait_s(error: ProviderError, attempt: int, call_id: str) -> float:
    """Return how long to wait before the next attempt: what the provider asked for, else twice as long each time.

    The spread follows from the call's id, so that calls that failed together do not come back together. Pure.
    """
    spread = zlib.crc32(f"{call_id}.{attempt}".encode()) / 2**32
    if error.retry_after_s:
        return error.retry_after_s * (1 + spread / 10)
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0**attempt) * (1 + spread) / 2


async def _persistently(asked: Request, made: call.Call, deps: Deps, deadline: float) -> Reply:
    """Ask until there is an answer, a failure that may have cost, or no time to wait for another attempt."""
    attempt = 0
    while True:
        try:
            return await _once(asked, deadline - deps.clock(), deps.emit)
        except ProviderError as error:
            wait = wait_s(error, attempt, made.id)
            if not (error.free and error.retryable) or deps.clock() + wait >= deadline:
                raise
            log.info("model call waits", call=made.id, code=error.code, wait_s=round(wait, 1), attempt=attempt)
        await deps.sleep(wait)
        attempt += 1


async def _once(asked: Request, left_s: float, emit: Emit) -> Reply:
    request = msgspec.structs.replace(asked.prompt, timeout_s=left_s)
    try:
        with anyio.fail_after(left_s):
            return await asked.provider.complete(request, emit)
    except ProviderError:
        raise
    except TimeoutError:
        raise ProviderError("provider_timeout", "no answer within the time of the call") from None
    except Exception as error:  # a provider's bug must not cost once more at every redelivery
        log.exception("provider failed unexpectedly", model=asked.model.name)
        raise ProviderError("internal", f"the provider's adapter failed: {type(error).__name__}") from error


def _usage(asked: Request, counted: Tokens | None, cost: units.MicroUsd | None = None) -> call.Usage:
    """Return what is charged: what was counted, else what was reserved; at the provider's own cost, else by price."""
    used, entry = counted or asked.reserved, asked.model
    price = _price(entry) if cost is None else None
    if price is not None:
        cost = units.priced(used.input, price[0]) + units.priced(used.output, price[1])
    return call.Usage(
        cost_micro_usd=cost or 0,
        input_tokens=used.input,
        output_tokens=used.output,
        unpriced=cost is None,
        estimated=counted is None,
        model=entry.name,
        prompt=asked.digest,
        price=price if price and any(price) else None,
    )


def _price(entry: tool.Model) -> tuple[units.MicroUsd, units.MicroUsd] | None:
    input_, output = entry.input_micro_usd, entry.output_micro_usd
    return None if input_ is None or output is None else (input_, output)


def _timed(usage: call.Usage, seconds: float) -> call.Usage:
    return msgspec.structs.replace(usage, duration_ms=round(seconds * 1000))


def _failed(job: Job, error: ProviderError, usage: call.Usage) -> call.Failed:
    return call.Failed(call=job.call.id, code=error.code, message=error.message, retryable=error.retryable, usage=usage)
