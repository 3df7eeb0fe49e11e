"""What an actor's worker takes: a puller for each source, with the priority that its ownership gives."""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from callboard.actor import Input
from callboard.bus import Bus, BusError, Delivery, Puller
from callboard.runtime.ownership import Ownership
from callboard.tasks import Tasks

log = structlog.get_logger()


class Source(msgspec.Struct, frozen=True):
    """Where an actor's inputs come from, and how one is read."""

    stream: str
    durable: str
    read: Callable[[Delivery], Input]
    """Raises ValueError, SubjectError or a msgspec error for what cannot be read."""
    group: int | None = None
    """The journal group, when its workers take turns; None: whoever is free takes it."""


Receive = Callable[[Source, Puller, Delivery], None]


class Inputs:
    """Pulls every source into `receive`. What a dead worker left unfinished is delivered again at once."""

    def __init__(
        self, bus: Bus, service: str, groups: int, sources: Sequence[Source], receive: Receive, tasks: Tasks
    ) -> None:
        self._bus = bus
        self._sources = sources
        self._receive = receive
        self._tasks = tasks
        self._pullers: list[tuple[Source, Puller]] = []
        self._ownership = Ownership(bus, service, groups, self._on_owned)

    async def start(self) -> None:
        """Begin to pull.

        :raises BusError: the broker does not answer.
        """
        if await self._ownership.start():
            await self._reset(self._sources)  # what a former life left unfinished waits for nobody
        for source in self._sources:
            await self._pull(source)

    async def stop(self) -> None:
        """Pull no more."""
        await self._ownership.stop()
        for _, puller in self._pullers:
            await puller.stop()

    async def _pull(self, source: Source) -> None:
        def on_delivery(delivery: Delivery) -> None:
            self._receive(source, puller, delivery)

        priority = None if source.group is None else self._ownership.priority(source.group)
        puller = Puller(self._bus, source.stream, source.durable, on_delivery, priority=priority)
        self._pullers.append((source, puller))
        await puller.start()

    def _on_owned(self, taken: Sequence[int | None]) -> None:
        self._tasks.spawn(self._take_over(taken))

    async def _take_over(self, taken: Sequence[int | None]) -> None:
        for source, puller in self._pullers:
            if source.group is not None:
                await puller.reprioritise(self._ownership.priority(source.group))
        await self._reset([source for source in self._sources if source.group in taken])

    async def _reset(self, sources: Sequence[Source]) -> None:
        """Have everything delivered again that nobody acknowledged."""
        for source in sources:
            try:
                await self._bus.api(f"CONSUMER.RESET.{source.stream}.{source.durable}")
            except BusError as error:
                log.warning("not reset: it comes after the ack wait", durable=source.durable, detail=str(error))
