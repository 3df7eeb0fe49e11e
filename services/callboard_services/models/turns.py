"""Finds the question of a turn in a run's records, by halving, so that it costs the same however long the run is."""

from collections.abc import Awaitable, Callable

import msgspec

from callboard.bus import Bus, reader
from callboard_contracts import call, ids, names, run, subjects
from callboard_services.models import history
from callboard_services.models.kept import Link
from callboard_services.models.log import Log
from callboard_services.models.transcript import answered_by

_MOST_AFTER = 256
"""How many records after a question are looked at for its answer: what comes between is what persons said."""


class Question(msgspec.Struct, frozen=True):
    """A question to the model as it was asked."""

    turn: int
    """How many times the model had been asked, this time included."""
    call: call.Call
    source: int
    """The sequence of the record that asked."""
    taken: run.Taken | None
    """Its result, None as long as there is none."""


class NoTurnError(LookupError):
    """The run never asked that. Give up: correct the number."""


async def of_turn(bus: Bus, groups: int, address: subjects.Address, turn: int) -> Question:
    """Return the n-th question of a run, as it is asked or was answered.

    :raises NoTurnError: it was never asked. :raises LookupError: there are no records of the run.
    """
    log = Log(bus, groups, address, {})
    link = await _first(bus, log, turn, lambda seq: _answers(log, seq))
    if link is not None:
        before = await _answers(log, link.seq) - history.answers(link.events)
        taken = _counted(link)[turn - before - 1]
        return await _asked(log, link, taken.call, turn, taken)
    last = await _last(bus, log)
    asked = next((made for event in last.events for made in _questions(event)), None) or await _open(log, last)
    if asked is None or turn != await _answers(log, last.seq) + 1:
        raise NoTurnError(f"the model of {address.run} was not asked {turn} times")
    return await _asked(log, last, asked.id, turn, None)


async def of_call(bus: Bus, groups: int, address: subjects.Address, made: str) -> Question:
    """Return the question that a call asked: a turn of the run, or one to sum up its older steps.

    :raises NoTurnError: no such call asked a model. :raises LookupError: there are no records of the run.
    """
    log = Log(bus, groups, address, {})
    link = await _first(bus, log, ids.turn_of(made), lambda seq: _turn(log, seq))
    asked = [one for event in link.events for one in _every(event) if one.id == made] if link is not None else []
    if link is None or not asked:
        raise NoTurnError(f"{made} asked no model")
    return Question(await _answers(log, link.seq) + 1, asked[0], link.seq, await _answer(bus, log, link.seq, made))


async def _first(bus: Bus, log: Log, wanted: int, measure: Callable[[int], Awaitable[int]]) -> Link | None:
    """Return the first record whose measure, which never falls, has reached a value; None when none has."""
    fence, last = log.address.fence, await _last(bus, log)
    low, high = 1, last.seq
    if await measure(last.seq) < wanted:
        return None
    while low < high:
        middle = (low + high) // 2
        found = await reader.following(bus, log.stream, fence, middle)
        if found is None or await measure(found.seq) >= wanted:
            high = middle
        else:
            low = found.seq + 1
    found = await reader.following(bus, log.stream, fence, low)
    return await log.link(found.seq) if found is not None else None


async def _last(bus: Bus, log: Log) -> Link:
    found = await reader.last(bus, log.stream, log.address.fence)
    if found is None:
        raise LookupError(f"there are no records of {log.address.run}")
    return await log.link(found.seq)


async def _answers(log: Log, seq: int) -> int:
    return (await answered_by(log, seq))[0]


async def _turn(log: Log, seq: int) -> int:
    """Return the number of the last turn by a record."""
    while seq:
        link = await log.link(seq)
        turns = [event.turn for event in link.events if isinstance(event, run.Called)]
        if turns:
            return max(turns)
        seq = link.prev
    return 0


async def _asked(log: Log, link: Link, made: str, turn: int, taken: run.Taken | None) -> Question:
    """Return the question of a call, looking back from a record."""
    while True:
        found = next((one for event in link.events for one in _every(event) if one.id == made), None)
        if found is not None:
            return Question(turn, found, link.seq, taken)
        if not link.prev:
            raise NoTurnError(f"no record of {log.address.run} asked for {made}")
        link = await log.link(link.prev)


async def _open(log: Log, link: Link) -> call.Call | None:
    """Return the question that is being asked: the nearest one that has no answer."""
    while link.prev and not _counted(link):
        link = await log.link(link.prev)
        if found := next((made for event in link.events for made in _questions(event)), None):
            return found
    return None


async def _answer(bus: Bus, log: Log, seq: int, made: str) -> run.Taken | None:
    for _ in range(_MOST_AFTER):
        found = await reader.following(bus, log.stream, log.address.fence, seq + 1)
        if found is None:
            return None
        link, seq = await log.link(found.seq), found.seq
        if taken := next((one for one in _taken(link) if one.call == made), None):
            return taken
    return None


def _taken(link: Link) -> list[run.Taken]:
    return [one for event in link.events if isinstance(event, run.Took) for one in event.results]


def _counted(link: Link) -> list[run.Taken]:
    """Return the answers that a record took, as `history.answers` counts them."""
    return [one for one in _taken(link) if run.is_turn(one)]


def _every(event: object) -> list[call.Call]:
    return [one for one in event.calls if one.tool == names.MODEL] if isinstance(event, run.Called) else []


def _questions(event: object) -> list[call.Call]:
    return [one for one in _every(event) if not run.summarises(one)]
