"""Everything that the tools returned in a run, one result after the other, so that no more than one is held. Effects.

Read only when an answer is to be looked up in it: then the whole run counts, and every output is read whole.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from callboard.bus import Bus, reader
from callboard_contracts import call, names, run, subjects
from callboard_services.models import history
from callboard_services.models.log import Log, read
from callboard_services.models.transcript import MOST_RETRIES


async def outputs(bus: Bus, groups: int, address: subjects.Address, source: int) -> AsyncGenerator[Any, None]:
    """Yield the output of every call of a tool that completed, up to the record with sequence `source`.

    A run that takes up one that ended has that one's outputs too, as far as they count.

    :raises LookupError: the journal lacks one, or has another run's in its place.
    :raises BusError: the broker does not answer.
    """
    turn = 0
    for _ in range(MOST_RETRIES + 1):
        log, retry = Log(bus, groups, address, {}), None
        async for events in _records(bus, log, source, turn):
            retry = next((one.goal.retry for one in events if isinstance(one, run.Accepted)), retry)
            for taken in _taken(events):
                result = await log.whole(taken)
                if isinstance(result, call.Completed) and result.call == taken.call:
                    yield result.output
        if retry is None or not retry.turn:
            return
        address, source, turn = subjects.Address.of_run(address.tenant, retry.of), retry.seq, retry.turn


async def _records(bus: Bus, log: Log, source: int, turn: int) -> AsyncIterator[tuple[run.Event, ...]]:
    """Yield what each record of a run says; of the last one only what counts."""
    scan = reader.scan(bus, log.stream, log.address.fence)
    async with aclosing(scan) as messages:  # type: ignore[type-var]  # it is a generator, and says less of itself
        async for message in messages:
            if message.seq > source:
                return
            events = read(message).events
            yield history.until(events, turn) if turn and message.seq == source else events


def _taken(events: tuple[run.Event, ...]) -> list[run.Taken]:
    every = (one for event in events if isinstance(event, run.Took) for one in event.results)
    return [one for one in every if one.tool != names.MODEL and one.status == "completed" and not one.late]
