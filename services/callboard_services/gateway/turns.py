"""Turns as people count them: how many times a run's model had answered."""

from contextlib import aclosing

from callboard.bus import reader
from callboard_contracts import run, subjects, wire
from callboard_contracts.journal import Event, Record
from callboard_services.gateway.archive import is_archived
from callboard_services.gateway.house import House


def turns(events: tuple[Event, ...]) -> int:
    """Return how many turns the events of a record took."""
    return sum(run.is_turn(taken) for event in events if isinstance(event, run.Took) for taken in event.results)


async def turns_by(house: House, name: str, seq: int) -> int | None:
    """Return how many turns a run had by the record with a sequence; None once its records left the journal."""
    if await is_archived(house, name):
        return None
    count, fence = 0, subjects.Address.of_run(house.tenant, name).fence
    async with aclosing(reader.scan(house.bus, house.journal_of(name), fence)) as found:  # type: ignore[type-var]
        async for message in found:
            if message.seq > seq:
                break
            count += turns(wire.decode(message.body, Record).events)
    return count
