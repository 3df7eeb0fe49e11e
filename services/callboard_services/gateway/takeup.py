"""What an ended run leaves to the one that takes it up again: its goal, its last good turn, its files."""

import asyncio

import msgspec

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
from callboard_services.gateway.turns import turns

_copying = asyncio.Semaphore(2)
"""Files pass through memory: at most this many at once."""
_MOST_NAMED = 10


class _Read(msgspec.Struct, frozen=True):
    genesis: int
    turns: int
    points: list[Point]
    """Newest first."""


async def point_of(house: House, name: str, wanted: int | None) -> tuple[run.Accepted, Point]:
    """Return the goal of an ended run, and the point from which it is taken up.

    :param wanted: the turn as people count it; 0: the beginning; None: the last one that can be taken up.
    :raises CallboardError: `archived`; `unknown_turn`; `invalid_request`, it never began, or not after that turn.
    """
    found = await _read(house, name)
    accepted = await _goal(house, name, found.genesis)
    beginning = Point(turn=0, seq=found.genesis if accepted.goal.retry else 0, tokens=_before(accepted))
    if wanted is None:
        return accepted, found.points[0] if found.points else beginning
    if wanted > found.turns:
        count = f"{found.turns} turn{'' if found.turns == 1 else 's'}"
        raise CallboardError("unknown_turn", f"The run {name} has no turn {wanted}: it has {count}.")
    for one in (*found.points, beginning):
        if one.number == wanted:
            return accepted, one
    several = ", ".join(str(one.number) for one in found.points[:_MOST_NAMED]) or "none"
    why = f"After turn {wanted} of {name} not every call has a known outcome, or there was none"
    raise CallboardError("invalid_request", f"{why}; it can be taken up after: {several}.")


async def _read(house: House, name: str) -> _Read:
    """Read a run's records back to the first: turns are counted from there."""
    segment, points, took, genesis = list[Stored](), list[Point](), list[tuple[int, int]](), 0
    async for record in backwards(edge_of(house), subjects.Address.of_run(house.tenant, name)):
        genesis = genesis or record.genesis
        took.append((record.seq, turns(record.events)))
        segment.append(record)
        if lastgood.asks_model(record):
            here = lastgood.point(segment[::-1])
            points += [here] if here is not None else []
            segment = [record]
    return _Read(genesis, sum(count for _, count in took), lastgood.numbered(points, reversed(took)))


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
