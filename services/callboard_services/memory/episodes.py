"""What runs did, remembered when they have ended: one row for each tree, whatever became of it.

A goal's label `episode` says who finds it: `workspace`, `user` or `off`. Without it: the runs of the one who acted, and
everybody when that was nobody.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import structlog

from callboard.bus import Delivery, layout, reader
from callboard.bus.objects import get_head
from callboard_contracts import ids, memory, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Record
from callboard_contracts.run import Accepted, Ended
from callboard_services.memory import telling
from callboard_services.memory.house import Memory
from callboard_services.memory.rows import least
from callboard_services.memory.telling import Story
from callboard_services.memory.who import LABEL as WORKSPACE

log = structlog.get_logger()

LABEL: Final = "episode"
_HEAD_BYTES: Final = 4 * telling.OUTPUT_CHARS


async def remember(house: Memory, tenant: str, name: str, ended: Ended) -> None:
    """Remember what a run did that has ended. Told again, it changes nothing, not even what was forgotten since.

    :raises CallboardError: the embedder fails. :raises BusError: it is not known to be stored.
    """
    if ids.tree_of(name) != name:
        return  # a sub-agent's part is told with its root's
    if await reader.last(house.bus, layout.MEMORY, subjects.memory(tenant, "episode", name)) is not None:
        return
    story, at_ms = Story(root=name), 0
    async for record in _records(house, tenant, name):
        of = record.stored_subject.split(".")[5]
        story.take(of, wire.decode(record.body, Record).events)
        at_ms = record.time_ms if of == name else at_ms
    if story.accepted is None or story.ended is None or story.accepted.goal.labels.get(LABEL) == "off":
        return
    reads = await house.read_by(tenant, name)
    origin = _origin(name, story.accepted, reads, at_ms)
    await house.writer.remember(tenant, _episode(story, origin, await _output(house, ended)))


def _records(house: Memory, tenant: str, tree: str) -> AsyncIterator[Delivery]:
    every = f"cb.{tenant}.run.{ids.partition(tree)}.{tree}.*.log.>"
    return reader.scan(house.bus, layout.journal_of(tree, house.groups), every)


async def _output(house: Memory, ended: Ended) -> Any:
    if not ended.output_ref:
        return ended.output
    try:
        head, _ = await get_head(house.bus, ended.output_ref, _HEAD_BYTES)
    except CallboardError as error:
        log.warning("an output is not told", digest=ended.output_ref, reason=error.detail)
        return ""
    return head.decode(errors="replace")


def _episode(story: Story, origin: memory.Origin, output: Any) -> memory.Remembered:
    accepted, ended = story.begun(), story.over()
    labels = accepted.goal.labels | {"status": ended.status, "code": ended.code}
    return memory.Remembered(
        id=story.root,
        kind="episode",
        text=telling.text(story, output),
        title=telling.title(accepted),
        origin=origin,
        tags=tuple(sorted({ended.status, accepted.skill} - {""})),
        labels={name: value for name, value in labels.items() if value},
    )


def _origin(run: str, accepted: Accepted, reads: list[memory.Read], at_ms: int) -> memory.Origin:
    """Return where an episode comes from. It is trusted no more than what its tree had read."""
    goal = accepted.goal
    wide = not goal.principal or goal.labels.get(LABEL) == "workspace"
    return memory.Origin(
        scope="workspace" if wide else "user",
        owner="" if wide else goal.principal,
        workspace=goal.labels.get(WORKSPACE, "") or memory.WORKSPACE,
        trust=least(("agent", *(read.trust for read in reads))),
        source=f"run:{run}",
        derived_from=tuple(sorted({source for read in reads for source in read.sources})),
        run=run,
        skill=accepted.skill,
        principal=goal.principal,
        at_ms=at_ms,
    )
