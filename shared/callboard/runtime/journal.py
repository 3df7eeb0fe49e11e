"""One actor's log in the journal: load its state, append a record behind the fence, find the record of a cause.

Each record names the digest of the one before it, so that nobody can change, leave out or reorder one unnoticed.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar

import msgspec

from callboard.actor import Actor
from callboard.bus import Bus, Delivery, NoAnswer, layout, reader
from callboard_contracts import subjects, wire
from callboard_contracts.journal import Event, Record, link_of

LOOK_BACK = 4096
"""How many records are read in search of a cause: one that is delivered again is among the last."""
RECENT = 32
"""The same for a goal that the broker does not call a second one: its consumer may have been reset."""
SNAPSHOT_EVERY = 16
"""A reader follows `prev` over at most this many records before it meets a state to start from."""

S = TypeVar("S")


class Held(msgspec.Struct, Generic[S], frozen=True):
    """An actor's state as of its last record."""

    state: S
    seq: int = 0
    """The sequence of its last record, on which the next one is fenced."""
    genesis: int = 0
    """The sequence of its first record."""
    since: int = 0
    """Records since the last snapshot."""
    link: str = ""
    """The digest of its last record."""


class Written(msgspec.Struct, Generic[S], frozen=True):
    """A record that is to be stored, and what the actor holds once it is."""

    subject: str
    body: bytes
    headers: dict[str, str]
    record: Record
    holds: Held[S]

    def stored(self, seq: int) -> Held[S]:
        """Return what the actor holds now that the record has a sequence."""
        return msgspec.structs.replace(self.holds, seq=seq, genesis=self.holds.genesis or seq)


class Journal(Generic[S]):
    """The logs of all actors of one kind. Stateless: what it returns is what the broker has."""

    def __init__(self, bus: Bus, groups: int, actor: Actor[S]) -> None:
        self._bus = bus
        self._groups = groups
        self._actor = actor

    async def load(self, address: subjects.Address) -> Held[S]:
        """Return the actor's state: the last record's snapshot, or the nearest one before it plus what followed.

        :raises NoAnswer: the broker does not answer, or a record is missing: a part of a log is no state.
        """
        chain: list[tuple[Delivery, Record]] = []
        async for found in self._backwards(address):
            chain.append(found)
            if found[1].state:
                break
        if not chain:
            return Held(self._actor.initial())
        if chain[-1][0].prev and not chain[-1][1].state:
            raise NoAnswer(f"{self._stream(address)} lacks record {chain[-1][0].prev} of {address}")
        base = chain[-1][1]
        state, genesis = await self._base(address, chain)
        rest = chain[:-1] if base.state else chain
        for _, record in reversed(rest):
            state = folded(self._actor, state, record.events)
        return Held(state, chain[0][0].seq, genesis, len(rest), link_of(chain[0][0].body))

    async def _base(self, address: subjects.Address, chain: list[tuple[Delivery, Record]]) -> tuple[S, int]:
        oldest, record = chain[-1]
        if not record.state:
            return self._actor.initial(), oldest.seq
        if not record.genesis:  # it is the first one itself
            return self._actor.restore(bytes(record.state), record), oldest.seq
        first = await reader.get(self._bus, self._stream(address), record.genesis)
        genesis = wire.decode(first.body, Record) if first else Record(causes=(), events=())  # archived: it is over
        return self._actor.restore(bytes(record.state), genesis), record.genesis

    async def _backwards(self, address: subjects.Address) -> AsyncIterator[tuple[Delivery, Record]]:
        async for found in reader.backwards(self._bus, self._stream(address), address.fence):
            yield found, wire.decode(found.body, Record)

    async def find(self, address: subjects.Address, causes: Iterable[str], since: int, most: int) -> list[Record]:
        """Return the records that name any of the causes, the oldest first, each once.

        It looks back from the last one: not beyond the sequence `since`, and over `most` records.

        :raises NoAnswer: the broker does not answer.
        """
        wanted, found, looked = set(causes), list[Record](), 0
        async for delivery, record in self._backwards(address):
            if delivery.seq < since:
                break
            looked += 1
            if not wanted.isdisjoint(record.causes):
                wanted.difference_update(record.causes)
                found.append(record)
            if not wanted or looked == most:
                break
        return found[::-1]

    def write(self, address: subjects.Address, held: Held[S], after: S, record: Record) -> "Written[S]":
        """Return a record as it is to be stored after what is held."""
        snapshot = held.since + 1 >= SNAPSHOT_EVERY or self._actor.finished(after)
        state = msgspec.Raw(self._actor.snapshot(after)) if snapshot else record.state
        record = msgspec.structs.replace(record, state=state, genesis=held.genesis if snapshot else 0, link=held.link)
        subject, body = address.at("log", self._actor.lane(record.events)), wire.encode(record)
        since = 0 if snapshot else held.since + 1
        holds = Held(after, 0, held.genesis, since, link_of(body))
        return Written(str(subject), body, _fence(address, held.seq), record, holds)

    async def read(self, address: subjects.Address, seq: int) -> Record | None:
        """Return a record of the tree by its sequence, None when there is none.

        :raises NoAnswer: the broker does not answer.
        """
        found = await reader.get(self._bus, self._stream(address), seq)
        if found is None:
            return None
        where = subjects.Subject.parse(found.stored_subject)
        ours = (where.address.tenant, where.address.tree, where.lane) == (address.tenant, address.tree, "log")
        return wire.decode(found.body, Record) if ours else None

    def _stream(self, address: subjects.Address) -> str:
        return layout.journal_of(address.tree, self._groups)


def _fence(address: subjects.Address, seq: int) -> dict[str, str]:
    """Return a record's only headers: its type stands in its body, and its id is where it is stored."""
    return {wire.FENCE: str(seq), wire.FENCE_SUBJECT: address.fence}


def folded(actor: Actor[S], state: S, events: Iterable[Event]) -> S:
    """Return a state after several events."""
    for event in events:
        state = actor.evolve(state, event)
    return state
