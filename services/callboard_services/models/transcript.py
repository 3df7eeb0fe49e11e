"""Reads a run back from the journal, from the record that asked for a model call towards its first. Effects only.

A record names the one before it (`prev`) and the messages of the results it took, so a transcript is followed by
sequence and never searched for. It is read only as far as the model's window can use, and then the first record, which
holds the goal: a turn costs the same however long the run is. Where a summary stands, nothing that it covers is read.
A run that takes up one that ended begins with that one's records, as far as they count.
"""

import msgspec

from callboard.bus import Bus
from callboard_contracts import goal, run, subjects
from callboard_services.models import history
from callboard_services.models.history import Entry, Standing
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


class _Stands(msgspec.Struct, frozen=True):
    """A summary, and the run up to whose record it covers everything."""

    standing: Standing
    run: str


class Transcripts:
    """The transcripts of the runs that this process answers for. Can be forgotten at any time."""

    def __init__(self, bus: Bus, groups: int, kept: Kept | None = None) -> None:
        self._bus = bus
        self._groups = groups
        self._kept = kept or Kept()

    async def read(
        self, address: subjects.Address, source: int, most_bytes: int, summary: int = 0
    ) -> tuple[Entry, ...]:
        """Return the acceptance of a run, and its last records up to the one with sequence `source`.

        :param most_bytes: how much of them can be used; a record that is begun is read whole.
        :param summary: the result that holds the summary of what is not to be read; 0: there is none.
        :raises LookupError: the journal lacks one, or has another run's in its place.
        :raises BusError: the broker does not answer.
        """
        upto = goal.Retry(of=address.run, seq=source, summary=summary)
        stands = await self._stands(address, upto, None)
        newest = await self._one(address, upto, most_bytes, stands)
        read, entries = newest, newest.entries
        left_out, room = newest.left_out, most_bytes - newest.bytes
        for _ in range(MOST_RETRIES):
            retry = read.accepted.goal.retry
            if retry is None or not retry.turn or (stands is not None and stands.run == upto.of):
                break
            upto, older = retry, subjects.Address.of_run(address.tenant, retry.of)
            stands = await self._stands(older, upto, stands)
            read = await self._one(older, upto, room, stands)
            theirs = [msgspec.structs.replace(entry, run=upto.of) for entry in read.entries]
            entries = (*theirs, Entry(events=(RETRIED,)), *entries) if theirs else entries
            left_out, room = left_out + read.left_out, room - read.bytes
        standing = stands.standing if stands is not None else None
        return (Entry(events=(newest.accepted,), left_out=left_out, standing=standing), *entries)

    async def _stands(self, address: subjects.Address, upto: goal.Retry, found: _Stands | None) -> _Stands | None:
        """Return the summary that stands at a point of a run, if none of a later run does already."""
        if found is not None or not upto.summary:
            return found
        standing = await Log(self._bus, self._groups, address, {}).summary(upto.summary)
        return _Stands(standing, standing.summary.of or address.run)

    async def _one(self, address: subjects.Address, upto: goal.Retry, room: int, stands: _Stands | None) -> _Read:
        """Read one run backwards. `upto.turn`: what follows that turn's answers does not count; 0: everything does."""
        covered = stands.standing.summary.through if stands is not None and stands.run == address.run else 0
        page = self._kept.page(str(address))
        log = Log(self._bus, self._groups, address, page)
        seq, first, entries, used = upto.seq, upto.seq, list[Entry](), 0
        while seq > covered and used < room:
            entry, link = await log.entry(seq), await log.link(seq)
            entries.append(_counting(entry, upto.turn if seq == upto.seq else 0))
            used, first, seq = used + link.bytes, seq, link.prev
        left_out, genesis = await answered_by(log, seq) if seq else (0, first)
        if seq and covered:
            left_out -= (await answered_by(log, covered))[0]
        begun = (await log.link(genesis)).events
        self._kept.settle(str(address), page, log.used)
        return _Read(history.accepted((Entry(events=begun),)), tuple(reversed(entries)), left_out, used)


def _counting(entry: Entry, turn: int) -> Entry:
    """Return what counts of a record: not the acceptance, which stands first, and nothing after the last good turn."""
    events = history.until(entry.events, turn) if turn else entry.events
    return msgspec.structs.replace(entry, events=tuple(one for one in events if not isinstance(one, run.Accepted)))


async def answered_by(log: Log, seq: int) -> tuple[int, int]:
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
