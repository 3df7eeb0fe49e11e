"""What the tools share: for whom a run acts, what it writes is derived from, and that it read something."""

from collections.abc import Awaitable
from typing import TypeVar

from callboard.bus import BusError
from callboard.tools import ToolContext, ToolError
from callboard_contracts import memory, subjects
from callboard_contracts.errors import CallboardError
from callboard_services.memory.house import Memory
from callboard_services.memory.query import Run
from callboard_services.memory.recall import Hit
from callboard_services.memory.rows import least

T = TypeVar("T")

_WEB = ("http://", "https://")


async def who(house: Memory, context: ToolContext) -> Run:
    """Return what the run of a call may see."""
    return await told(house.who.of(context.tenant, context.run))


async def told(work: Awaitable[T]) -> T:
    """Wait for something whose error the model is to read.

    :raises ToolError: with the same code and what to do.
    """
    try:
        return await work
    except CallboardError as error:
        retryable = error.entry.then == "retry"
        raise ToolError(f"{error.detail}. {error.entry.advice}", retryable=retryable, code=error.code) from None
    except BusError as error:
        raise ToolError(f"the broker did not answer: {error}", retryable=True, code="unavailable") from None


async def origin(
    house: Memory, context: ToolContext, seen_by: Run, scope: memory.Scope, source: str, at_ms: int
) -> memory.Origin:
    """Return where something comes from that a run writes: from everything that its tree has read, too."""
    owner = {"run": seen_by.run, "user": seen_by.user, "skill": seen_by.skill, "workspace": ""}[scope]
    if scope != "workspace" and not owner:
        raise ToolError(f"this run has no {scope}: use another scope", code="arguments_invalid")
    read = await told(house.read_by(context.tenant, context.tree))
    own: memory.Trust = "web" if source.startswith(_WEB) else "agent"
    return memory.Origin(
        scope=scope,
        owner=owner,
        workspace=seen_by.workspace,
        trust=least((own, *(one.trust for one in read))),
        source=source or f"run:{context.run}",
        derived_from=tuple(sorted({one for some in read for one in some.sources} - {source})),
        run=context.run,
        call=context.call,
        skill=seen_by.skill,
        principal=seen_by.user,
        at_ms=at_ms,
    )


async def record(house: Memory, context: ToolContext, seen_by: Run, hits: list[Hit], at_ms: int) -> None:
    """Record what a call is about to be shown."""
    said = memory.Read(
        call=context.call,
        run=context.run,
        skill=seen_by.skill,
        principal=seen_by.user,
        workspace=seen_by.workspace,
        rows=tuple(hit.id for hit in hits),
        sources=tuple(sorted({source for hit in hits for source in (hit.source, *hit.derived_from)})),
        trust=least(tuple(hit.trust for hit in hits)),
        at_ms=at_ms,
    )
    await told(house.writer.publish(subjects.read(context.tenant, context.call), said))
