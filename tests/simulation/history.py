"""What the journals hold at the end, by actor: the records of each run and each tree in their order."""

from collections.abc import Iterator
from typing import Any

import msgspec

from callboard.actor import Actor
from callboard.bus import layout
from callboard.bus.message import decode_headers
from callboard_contracts import subjects, wire
from callboard_contracts.journal import Event, Record
from callboard_services.approval.actor import Approval
from callboard_services.guard.actor import Guard
from callboard_services.planner.actor import Planner
from tests.simulation.broker import Broker
from tests.simulation.streams import Stored

ACTORS: dict[str, Actor[Any]] = {"run": Planner(), "tree": Guard(), "approval": Approval()}


class Entry(msgspec.Struct, frozen=True):
    """One record as it is stored."""

    seq: int
    address: subjects.Address
    prev: int
    record: Record
    body: bytes


class Log(msgspec.Struct):
    """The records of one actor. `kind` is its token, `key` its run or its tree."""

    kind: str
    key: str
    entries: list[Entry]

    def events(self) -> Iterator[tuple[Entry, Event]]:
        """Yield every event with its record."""
        for entry in self.entries:
            for event in entry.record.events:
                yield entry, event

    def states(self) -> Iterator[tuple[Entry, Any]]:
        """Yield the state after each record, as its events alone make it."""
        actor = ACTORS[self.kind]
        state = actor.initial()
        for entry in self.entries:
            for event in entry.record.events:
                state = actor.evolve(state, event)
            yield entry, state


class History(msgspec.Struct):
    """All logs, in the order of their first records."""

    runs: dict[str, Log]
    trees: dict[str, Log]
    requests: dict[str, Log]
    said: set[tuple[str, str]]
    """Subject and id of everything else in the journals, and of notices."""

    def logs(self) -> list[Log]:
        """Return every log."""
        return [*self.runs.values(), *self.trees.values(), *self.requests.values()]

    def log(self, kind: str, key: str) -> Log | None:
        """Return one log."""
        return {"run": self.runs, "tree": self.trees, "approval": self.requests}[kind].get(key)


def read(broker: Broker) -> History:
    """Read every journal of the broker."""
    found = History({}, {}, {}, set())
    for stream in broker.streams.values():
        if stream.name.startswith("JOURNAL-"):
            for stored in stream.messages.values():
                _keep(found, stored)
    for stored in broker.streams[layout.NOTICES].messages.values():
        found.said.add((stored.subject, decode_headers(stored.block).get(wire.ID, "")))
    return found


def _keep(history: History, stored: Stored) -> None:
    headers = decode_headers(stored.block)
    where = subjects.Subject.parse(stored.subject)
    if where.lane != "log":
        history.said.add((stored.subject, headers.get(wire.ID, "")))
        return
    record, prev = wire.decode(stored.body, Record), int(headers.get(wire.FENCE, "0"))
    _log(history, where.address).entries.append(Entry(stored.seq, where.address, prev, record, stored.body))


def _log(history: History, address: subjects.Address) -> Log:
    if address.actor == "tree":
        return history.trees.setdefault(address.tree, Log("tree", address.tree, []))
    if address.actor == "approval":
        return history.requests.setdefault(address.run, Log("approval", address.run, []))
    return history.runs.setdefault(address.run, Log("run", address.run, []))
