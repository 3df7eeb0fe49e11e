"""The messages of a tree as what they are: records of actors, results, and what cannot be read. Pure."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from callboard.audit.message import Message, actor_of
from callboard_contracts import call, ids, subjects, wire
from callboard_contracts.journal import Record

RESULTS = ("result", "child", "answer")

E = TypeVar("E")


class Logged(msgspec.Struct, frozen=True):
    """One record."""

    message: Message
    actor: str
    """Whose: `<tenant>.<run|tree|approval>.<key>`."""
    run: str
    """The run that it concerns; of an approval the request."""
    record: Record

    @property
    def seq(self) -> int:
        """Its sequence."""
        return self.message.seq


class Tree(msgspec.Struct):
    """All that was stored of a tree, in the order of its stream."""

    records: list[Logged] = msgspec.field(default_factory=list)
    results: dict[int, call.Result] = msgspec.field(default_factory=dict)
    """By sequence."""
    unreadable: list[tuple[int, str]] = msgspec.field(default_factory=list)
    """Sequence, and why. It may be in the dead letters as well: one bad message stops nobody."""

    def events(self, kind: type[E]) -> Iterator[tuple[Logged, E]]:
        """Yield the events of a class, each with its record."""
        for logged in self.records:
            for event in logged.record.events:
                if isinstance(event, kind):
                    yield logged, event

    def result_of(self, seq: int, call_id: str) -> call.Result | None:
        """Return a result by its sequence; None when the message there is another call's, or none."""
        found = self.results.get(seq)
        return found if found is not None and found.call == call_id else None


def read(messages: Iterable[Message]) -> Tree:
    """Return the tree that messages tell of."""
    tree = Tree()
    for message in messages:
        add(tree, message)
    return tree


def add(tree: Tree, message: Message) -> None:
    """Take one more message; they come in the order of their stream."""
    try:
        where = subjects.Subject.parse(message.subject)
        if where.lane == "log":
            record = wire.decode(message.body, Record)
            tree.records.append(Logged(message, actor_of(message.subject), where.address.run, record))
        elif where.lane == "in" and where.address.actor == "run" and where.kind in RESULTS:
            tree.results[message.seq] = wire.decode(message.body, call.Result)
    except ValueError as error:
        tree.unreadable.append((message.seq, str(error)))


def by_run(values: dict[str, str], run: str) -> str:
    """Return the value of a run, or of its nearest ancestor that has one."""
    return next((values[name] for name in ids.lineage(run) if values.get(name)), "")
