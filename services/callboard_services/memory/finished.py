"""What follows when a run ends: its notes are forgotten, and it is remembered what it did.

Every ending is delivered to one process of the service, again until everything in `FINISHED` has returned.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from callboard.bus import BusError, Delivery, Puller, Room, ack, layout, nak, reader, term
from callboard.dead_letters import bury
from callboard.tasks import Tasks
from callboard_contracts import memory, run, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Record
from callboard_services.memory import episodes
from callboard_services.memory.house import Memory

log = structlog.get_logger()

Finished = Callable[[Memory, str, str, run.Ended], Awaitable[None]]
"""Takes the tenant, the run and how it ended. May be called again for the same run."""

_AGAIN_S = 2.0
_ROOM = 16
_TRIES = layout.MAX_DELIVER


async def forget_notes(house: Memory, tenant: str, name: str, ended: run.Ended) -> None:  # noqa: ARG001 - see Finished
    """Forget what a run noted for itself."""
    async for note in reader.scan(house.bus, layout.MEMORY, subjects.memory(tenant, "note", name, "*")):
        await _forget(house, note)


async def forget_late_note(house: Memory, tenant: str, name: str, call: str) -> None:
    """Forget a note that was written when its run had ended already: nobody else would."""
    address = subjects.Address.of_run(tenant, name)
    stream = layout.journal_of(address.tree, house.groups)
    if await reader.last(house.bus, stream, str(address.at("log", "ended"))) is None:
        return
    note = await reader.last(house.bus, layout.MEMORY, subjects.memory(tenant, "note", name, call))
    if note is not None:
        await _forget(house, note)


async def _forget(house: Memory, note: Delivery) -> None:
    said = wire.decode(note.body, memory.Remembered | memory.Forgotten)
    if isinstance(said, memory.Remembered):
        gone = memory.Forgotten(id=said.id, at_ms=note.time_ms)
        await house.writer.forget(note.stored_subject.split(".")[1], note.stored_subject, gone)


FINISHED: tuple[Finished, ...] = (forget_notes, episodes.remember)
"""What is done with every run that ended, in this order."""


class Endings:
    """Pulls the endings of runs from every journal."""

    def __init__(self, house: Memory) -> None:
        self._house = house
        self._tasks = Tasks()
        self._pullers: list[Puller] = []

    async def start(self) -> None:
        """Begin to pull."""
        for group in range(self._house.groups):
            room = Room(_ROOM)
            puller = Puller(self._house.bus, layout.journal(group), "memory", self._taker(room), room=room)
            self._pullers.append(puller)
            await puller.start()

    async def stop(self) -> None:
        """Pull no more; what is not done is delivered again."""
        for puller in self._pullers:
            await puller.stop()
        await self._tasks.stop()

    def _taker(self, room: Room) -> Callable[[Delivery], None]:
        return lambda message: (self._tasks.spawn(self._take(room, message)), None)[1]

    async def _take(self, room: Room, message: Delivery) -> None:
        bus = self._house.bus
        try:
            await self._finish(message)
            ack(bus, message)
        except asyncio.CancelledError:
            nak(bus, message)
            raise
        except (BusError, CallboardError) as error:
            log.warning("ending given back", seq=message.seq, detail=str(error))
            nak(bus, message, _AGAIN_S)
        except Exception as error:  # a run that cannot be told of must not stop the others
            log.exception("ending given back", seq=message.seq)
            await self._give_up(message, error)
        finally:
            room.leave()

    async def _finish(self, message: Delivery) -> None:
        address = subjects.Subject.parse(message.subject).address
        record = wire.decode(message.body, Record)
        for ended in (event for event in record.events if isinstance(event, run.Ended)):
            for finished in FINISHED:
                await finished(self._house, address.tenant, address.run, ended)

    async def _give_up(self, message: Delivery, error: Exception) -> None:
        if message.delivered < _TRIES:
            nak(self._house.bus, message, _AGAIN_S)
            return
        await bury(self._house.bus, "memory", message, "poison", repr(error))
        term(self._house.bus, message)
