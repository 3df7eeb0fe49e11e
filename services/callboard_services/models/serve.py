"""The models service as a process: an executor like any other, of the one tool `model`."""

import asyncio
import contextlib
import os
from typing import Any

import msgspec
import structlog

from callboard.bus.registry import Registry
from callboard.service import Context
from callboard.tools.context import ToolContext
from callboard.tools.errors import ToolError
from callboard.tools.executor import serving
from callboard.tools.tool import Tool
from callboard_contracts import call, model, names
from callboard_contracts.errors import CallboardError
from callboard_contracts.guard import Granted
from callboard_services.models.answers import SUBJECT, Answers
from callboard_services.models.catalogue import Catalogue, open_catalogue
from callboard_services.models.claim import checked
from callboard_services.models.complete import Deps, answer
from callboard_services.models.gather import Gatherer
from callboard_services.models.patience import patiently

log = structlog.get_logger()

_LOOK_AGAIN_S = 5.0


async def serve(context: Context) -> None:
    """Serve until told to stop. Without any model, goals are refused as `no_model` until one is found."""
    registry = Registry(context.bus)
    await registry.start()
    catalogue = await _first_catalogue(context)
    if catalogue is None:
        context.ready()
        catalogue = await _found_later(context)
    if catalogue is not None:
        await _answer_calls(context, registry, catalogue)
    await registry.stop()


async def _first_catalogue(context: Context) -> Catalogue | None:
    """Return the models there are, None when there is none yet.

    :raises CallboardError: a model that was named cannot be used.
    """
    settings = context.settings
    try:
        return await open_catalogue(
            [settings.model] if settings.model else [], os.environ, settings.prices, settings.data
        )
    except CallboardError as error:
        if settings.model or error.code != "no_model":
            raise
        log.warning("no model", detail=str(error), advice=error.entry.advice)
        return None


async def _found_later(context: Context) -> Catalogue | None:
    """Look again every few seconds: a local server may be started later. None when told to stop before."""
    while not context.stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN_S):
                await context.stop.wait()
        with contextlib.suppress(CallboardError):
            return await open_catalogue([], os.environ, context.settings.prices, context.settings.data)
    return None


async def _answer_calls(context: Context, registry: Registry, catalogue: Catalogue) -> None:
    gatherer = Gatherer(context.bus, context.groups, registry, catalogue)
    tool, answers = Tool(catalogue.spec(), _Models(gatherer).handle), Answers(gatherer)
    settings = context.settings
    stop_answering = await context.bus.subscribe(SUBJECT, answers.on_question, queue=names.MODEL)
    async with serving(
        context.bus, context.groups, [tool], concurrency=settings.concurrency, ack_wait_s=settings.ack_wait_s
    ):
        context.ready()
        await context.stop.wait()
    await stop_answering()
    await answers.stop()
    await catalogue.aclose()


class _Models:
    """The handler of `model`: reads the run back, asks, and returns the answer as a record can hold it."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer

    async def handle(self, context: ToolContext, arguments: Any) -> Any:
        """Answer one call.

        :raises ToolError: with the code of what went wrong.
        """
        request = msgspec.convert(arguments, model.Request)
        made = msgspec.structs.replace(context.grant.call, arguments=arguments)
        try:
            job = await self._gatherer.job(context.tenant, made, context.grant.source)
        except LookupError as error:
            raise ToolError(f"the run cannot be read back: {error}", code="internal") from None
        context.usage(_reserved(request, context.grant))  # what is charged if nobody learns what was used
        result = await answer(job, Deps(catalogue=self._gatherer.catalogue, emit=context.emit))
        context.usage(result.usage)
        if isinstance(result, call.Failed):
            raise ToolError(result.message, retryable=result.retryable, code=result.code)
        said = msgspec.convert(result.output, model.Answer | model.Summary)
        if isinstance(said, model.Summary):
            return said
        return await patiently(lambda: checked(self._gatherer.bus, said), "storing the answer")


def _reserved(request: model.Request, grant: Granted) -> call.Usage:
    return call.Usage(
        cost_micro_usd=grant.reserved_micro_usd,
        input_tokens=request.prompt_tokens,
        output_tokens=request.max_output_tokens,
        unpriced=grant.unpriced,
        estimated=True,
        model=request.model,
    )
