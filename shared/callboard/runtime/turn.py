"""One turn, before anything is stored: what an actor makes of the inputs that wait. No waiting here."""

from collections.abc import Sequence
from typing import Any

import msgspec

from callboard.actor import Actor, Dead, Input, Later, Seen
from callboard.bus import Delivery, Puller
from callboard.runtime.journal import folded
from callboard_contracts import subjects
from callboard_contracts.journal import Event
from callboard_contracts.registry import Facts


class Waiting(msgspec.Struct, frozen=True):
    """An input that waits for its turn."""

    delivery: Delivery
    message: Input
    puller: Puller


class Plan(msgspec.Struct, frozen=True):
    """What one turn would do with the inputs that wait."""

    after: Any
    events: tuple[Event, ...]
    causes: tuple[Waiting, ...]
    seen: tuple[Waiting, ...]
    dead: tuple[tuple[Waiting, Dead], ...]
    later: tuple[Waiting, ...] = ()

    @property
    def usual(self) -> bool:
        """Whether every input had its turn."""
        return bool(self.events) and not (self.seen or self.dead or self.later)


class Draft:
    """A plan in the making: takes one input after the other."""

    def __init__(self, actor: Actor[Any], state: Any, facts: Facts) -> None:
        self.state = state
        self._actor = actor
        self._facts = facts
        self._events: list[Event] = []
        self._causes: list[Waiting] = []
        self._seen: list[Waiting] = []
        self._dead: list[tuple[Waiting, Dead]] = []
        self._later: list[Waiting] = []

    def take(self, waiting: Waiting, message: Input) -> None:
        """Decide an input; `message` has what its body only refers to."""
        decision = self._actor.decide(self.state, message, self._facts)
        match decision:
            case Seen():
                self._seen.append(waiting)
            case Dead():
                self._dead.append((waiting, decision))
            case Later():
                self._later.append(waiting)
            case _:
                self._causes.append(waiting)
                self._events += decision
                self.state = folded(self._actor, self.state, decision)

    def plan(self) -> Plan:
        """Return what was decided."""
        return Plan(
            self.state,
            tuple(self._events),
            tuple(self._causes),
            tuple(self._seen),
            tuple(self._dead),
            tuple(self._later),
        )


def address_of(actor: Actor[Any], batch: Sequence[Waiting]) -> subjects.Address:
    """Whom the record is about: the run that all inputs concern, for a tree's mixed turn the root."""
    first = batch[0].message.address
    if actor.kind != "tree":
        return first
    same = all(waiting.message.address.run == first.run for waiting in batch)
    return subjects.Address(first.tenant, "tree", first.tree, first.run if same else first.tree)
