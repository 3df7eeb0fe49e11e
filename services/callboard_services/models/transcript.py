"""Reads a run back from the journal, from the record that asked for a model call towards its first. Effects only.

A record names the one before it (`prev`) and the messages of the results it took, so a transcript is followed by
sequence and never searched for. It is read only as far as the model's window can use, and then the first record, which
holds the goal: a turn costs the same however long the run is. A run that takes up one that ended begins with that
one's records, as far as they count.
"""

import msgspec

from callboard.bus import Bus
from callboard_contracts import goal, run, subjects
from callboard_services.models import history
from callboard_services.models.history import Entry
from callboard_services.models.kept import Kept
from callboard_services.models.log import Log

MOST_RETRIES = 16
"""A run may take up one that took up another; so many are read."""
RETRIED = run.Noted(text="The run ended here and was taken up again: go on from what was found.", code="retried")


class _Read(msgspec.Struct, frozen=True):
    """What was read of one run."""

    accepted: run.Accepted
    entries: tuple[Entry, ...]
    left_out: int
    """How many answers of the model lie before these entries, unread."""
    bytes: int


class Transcripts:
    """The transcripts of the runs that this process answers for. Can be forgotten at any time."""

    def __init__(self, bus: Bus, groups: int, kept: Kept | None = None) -> None:
        self._bus = bus
        self._groups = groups
        self._kept = kept or Kept()

    async def read(self, address: subjects.Address, source: int, most_bytes: int) -> tuple[Entry, ...]:
        """Return the acceptance of a run, and its last records up to the one with sequence `source`.

        :param most_bytes: how much of them can be used; a record that is begun is read whole.
        :raises LookupError: the journal lacks one, or has another run's in its place.
        :raises BusError: the broker does not answer.
        """
        newest = await self._one(address, goal.Retry(of=address.run, seq=source), most_bytes)
        read, entries = newest, newest.entries
        left_out, room = newest.left_out, most_bytes - newest.bytes
        for _ in range(MOST_RETRIES):
            retry = read.accepted.goal.retry
            if retry is None or not retry.turn:
                break
            read = await self._one(subjects.Address.of_run(address.tenant, retry.of), retry, room)
            entries = (*read.entries, Entry(events=(RETRIED,)), *entries) if read.entries else entries
            left_out, room = left_out + read.left_out, room - read.bytes
        return (Entry(events=(newest.accepted,), left_out=left_out), *entries)

    async def _one(self, address: subjects.Address, upto: goal.Retry, room: int) -> _Read:
        """Read one run backwards. `upto.turn`: what follows that turn's answers does not count; 0: everything does."""
        page = self._kept.page(str(address))
        log = Log(self._bus, self._groups, address, page)
        seq, first, entries, used = upto.seq, upto.seq, list[Entry](), 0
        while seq and used < room:
            entry, link = await log.entry(seq), await log.link(seq)
            entries.append(_counting(entry, upto.turn if seq == upto.seq else 0))
            used, first, seq = used + link.bytes, seq, link.prev
        left_out, genesis = await _before(log, seq) if seq else (0, first)
        begun = (await log.link(genesis)).events
        self._kept.settle(str(address), page, log.used)
        return _Read(history.accepted((Entry(events=begun),)), tuple(reversed(entries)), left_out, used)


def _counting(entry: Entry, turn: int) -> Entry:
    """Return what counts of a record: not the acceptance, which stands first, and nothing after the last good turn."""
    events = history.until(entry.events, turn) if turn else entry.events
    return msgspec.structs.replace(entry, events=tuple(one for one in events if not isinstance(one, run.Accepted)))


async def _before(log: Log, seq: int) -> tuple[int, int]:
    """Return how many answers the model had given by a record, and the first record of its run.

    It walks to the nearest record that tells, which is among the next few: the planner's snapshots do.
    """
    answers = 0
    while True:
        link = await log.link(seq)
        if link.answered is not None:
            return answers + link.answered, link.genesis or seq
        answers += history.answers(link.events)
        if not link.prev:
            return answers, seq
        seq = link.prev
