"""The models service as a process: an executor like any other, of the one tool `model`."""

import asyncio
import contextlib
import os
from functools import partial
from typing import Any

import msgspec
import structlog

from callboard.bus.registry import Registry
from callboard.service import Context
from callboard.tools.context import ToolContext
from callboard.tools.errors import ToolError
from callboard.tools.executor import serving
from callboard.tools.tool import Tool
from callboard_contracts import call, model, subjects
from callboard_contracts.errors import CallboardError
from callboard_contracts.guard import Granted
from callboard_services.models import evidence
from callboard_services.models.catalogue import Catalogue, open_catalogue
from callboard_services.models.claim import checked
from callboard_services.models.complete import Deps, Job, answer
from callboard_services.models.job import usable_bytes
from callboard_services.models.patience import patiently
from callboard_services.models.transcript import Transcripts

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
    models = _Models(context, registry, catalogue)
    tool = Tool(catalogue.spec(), models.handle)
    settings = context.settings
    async with serving(
        context.bus, context.groups, [tool], concurrency=settings.concurrency, ack_wait_s=settings.ack_wait_s
    ):
        context.ready()
        await context.stop.wait()
    await catalogue.aclose()


class _Models:
    """The handler of `model`: reads the run back, asks, and returns the answer as a record can hold it."""

    def __init__(self, context: Context, registry: Registry, catalogue: Catalogue) -> None:
        self._context = context
        self._registry = registry
        self._catalogue = catalogue
        self._transcripts = Transcripts(context.bus, context.groups)

    async def handle(self, context: ToolContext, arguments: Any) -> Any:
        """Answer one call.

        :raises ToolError: with the code of what went wrong.
        """
        request = msgspec.convert(arguments, model.Request)
        job = await self._job(context, request)
        context.usage(_reserved(request, context.grant))  # what is charged if nobody learns what was used
        result = await answer(job, Deps(catalogue=self._catalogue, emit=context.emit))
        context.usage(result.usage)
        if isinstance(result, call.Failed):
            raise ToolError(result.message, retryable=result.retryable, code=result.code)
        said = msgspec.convert(result.output, model.Answer)
        return await patiently(lambda: checked(self._context.bus, said), "storing the answer")

    async def _job(self, context: ToolContext, request: model.Request) -> Job:
        address, source = subjects.Address.of_run(context.tenant, context.run), context.grant.source
        try:
            most = usable_bytes(request, self._catalogue)
            history = await patiently(lambda: self._transcripts.read(address, source, most), "reading the run")
        except LookupError as error:
            raise ToolError(f"the run cannot be read back: {error}", code="internal") from None
        facts = self._registry.facts
        offered = tuple(spec for tool in request.tools if (spec := facts.spec(tool)))
        skill = facts.versions.get(context.skill_digest) if context.skill_digest else None
        outputs = partial(evidence.outputs, self._context.bus, self._context.groups, address, source)
        return Job(call=context.grant.call, history=history, outputs=outputs, offered=offered, skill=skill)


def _reserved(request: model.Request, grant: Granted) -> call.Usage:
    return call.Usage(
        cost_micro_usd=grant.reserved_micro_usd,
        input_tokens=request.prompt_tokens,
        output_tokens=request.max_output_tokens,
        unpriced=grant.unpriced,
        estimated=True,
        model=request.model,
    )
