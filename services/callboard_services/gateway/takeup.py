"""What an ended run leaves to the one that takes it up again: its goal, its last good turn, its files."""

import asyncio

from callboard.bus import reader
from callboard.bus.objects import get_file, list_files, put_file
from callboard.why import Stored
from callboard.why.gather import backwards
from callboard_contracts import run, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Record
from callboard_services.gateway import lastgood
from callboard_services.gateway.house import House
from callboard_services.gateway.lastgood import Point
from callboard_services.gateway.standing import edge_of

_copying = asyncio.Semaphore(2)
"""Files pass through memory: at most this many at once."""
_MOST_NAMED = 10


async def point_of(house: House, name: str, wanted: int | None) -> tuple[run.Accepted, Point]:
    """Return the goal of an ended run, and the point from which it is taken up.

    :raises CallboardError: `archived`; `invalid_request`, it never began, or there is no such turn.
    """
    newest_first: list[Stored] = []
    good: list[int] = []
    found, genesis = None, 0
    async for record in backwards(edge_of(house), subjects.Address.of_run(house.tenant, name)):
        genesis = genesis or record.genesis
        newest_first.append(record)
        if wanted == 0 or found is not None:
            break
        if lastgood.asks_model(record):
            here = lastgood.point(newest_first[::-1])
            newest_first = [record]
            good += [here.turn] if here is not None else []
            found = here if here is not None and wanted in (None, here.turn) else None
    accepted = await _goal(house, name, genesis)
    if found is None and wanted:
        several = ", ".join(map(str, good[:_MOST_NAMED])) or "none"
        raise CallboardError("invalid_request", f"Turn {wanted} of {name} is no turn to take up; these are: {several}.")
    return accepted, found or Point(turn=0, seq=genesis if accepted.goal.retry else 0, tokens=_before(accepted))


def _before(accepted: run.Accepted) -> int:
    return accepted.goal.retry.tokens if accepted.goal.retry else 0


async def _goal(house: House, name: str, genesis: int) -> run.Accepted:
    first = await reader.get(house.bus, house.journal_of(name), genesis) if genesis else None
    if first is None and genesis:
        raise CallboardError("archived", f"The run {name} has left the journal.")
    events = wire.decode(first.body, Record).events if first is not None else ()
    accepted = next((event for event in events if isinstance(event, run.Accepted)), None)
    if accepted is None:
        raise CallboardError("invalid_request", f"The run {name} never began: send its goal again.")
    return accepted


async def copy_files(house: House, old: str, new: str) -> None:
    """Copy the files of a tree. Content is copied too: the old tree's goes when that is archived."""
    there = {file.path: file.digest for file in await list_files(house.bus, new)}
    for file in await list_files(house.bus, old):
        if there.get(file.path) != file.digest:
            async with _copying:
                await put_file(house.bus, new, file.path, await get_file(house.bus, old, file.path))
