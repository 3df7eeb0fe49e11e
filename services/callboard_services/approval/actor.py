"""The request actor. Invariant: a request is decided once, by people who may, on the bytes that they saw.

The order of its log decides every race: of two votes, of a vote and the expiry, of a vote and the run's own end.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from callboard.actor import SEEN, Command, Dead, Decision, Input
from callboard_contracts import approval, run, subjects
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from callboard_services.approval import clock, closing
from callboard_services.approval.commands import commands
from callboard_services.approval.evolve import evolve
from callboard_services.approval.state import State
from callboard_services.approval.voting import vote

_OBJECTIVE = 2_000


class Approval:
    """See `callboard.actor.Actor`."""

    name = "approval"
    kind: subjects.Actor = "approval"

    def initial(self) -> State:
        """Return a request that nobody has made yet."""
        return State()

    def evolve(self, state: State, event: Event) -> State:
        """Return the request after an event."""
        return evolve(state, event)

    def decide(self, state: State, message: Input, facts: Facts) -> Decision:
        """Open a request, count a vote, or act on the time."""
        decision = _decide(state, message, facts)
        if not isinstance(decision, tuple):
            return decision
        for event in decision:
            state = evolve(state, event)
        return (*decision, *clock.armed(state, message.time_ms))

    def lane(self, events: Sequence[Event]) -> str:
        """Return the kind of a record: the decision, else what happened last, timers aside."""
        ending: list[Event] = [event for event in events if isinstance(event, approval.Decided)]
        told = ending or [event for event in events if not isinstance(event, approval.Armed)] or events
        return type(told[-1]).__name__.lower()

    def commands(self, address: subjects.Address, record: Record) -> Sequence[Command]:
        """Return what follows from a record."""
        return commands(address, record)

    def needs(self, body: Any) -> Sequence[str]:  # noqa: ARG002 - arguments that are kept elsewhere are named, not read
        """Return nothing: a digest is as good as the arguments it stands for."""
        return ()

    def reads(self, state: State, body: Any) -> Sequence[int]:
        """Return the first records of the run and of its root: they hold the goal, and who started it."""
        if not isinstance(body, approval.Request) or state.requested is not None:
            return ()
        return tuple(dict.fromkeys(seq for seq in (body.accepted, body.root) if seq))

    def begins(self, body: Any) -> bool:
        """Tell whether it opens a request."""
        return isinstance(body, approval.Request)

    def timer_ms(self, state: State) -> int:
        """Return when the request's timer is due."""
        return 0 if state.decided else state.armed_ms

    def finished(self, state: State) -> bool:
        """Tell whether the request is decided."""
        return state.decided is not None

    def snapshot(self, state: State) -> bytes:
        """Return the state without what the first record holds."""
        return msgspec.json.encode(msgspec.structs.replace(state, requested=None))

    def restore(self, snapshot: bytes, genesis: Record) -> State:
        """Return the state of a snapshot with the request of the first record."""
        requested = next((event for event in genesis.events if isinstance(event, approval.Requested)), None)
        return msgspec.structs.replace(msgspec.json.decode(snapshot, type=State), requested=requested)


def _decide(state: State, message: Input, facts: Facts) -> Decision:
    match message.body:
        case approval.Request():
            return _open(state, message.body, message)
        case approval.Vote():
            return vote(state, message.body, message, facts)
        case approval.Withdraw():
            return _withdraw(state, message.body, message)
        case run.Wake():
            return clock.wake(state, message.time_ms)
        case other:
            return Dead("undecodable", f"a request does not take {type(other).__name__}")


def _open(state: State, request: approval.Request, message: Input) -> Decision:
    if state.requested is not None or state.decided is not None:
        return SEEN
    accepted, root = _accepted(message, request.accepted), _accepted(message, request.root)
    requested = approval.Requested(
        request=request,
        at_ms=message.time_ms,
        expires_ms=message.time_ms + int(request.rule.expires_s * 1000),
        objective=accepted.goal.objective[:_OBJECTIVE] if accepted else "",
        skill=accepted.skill if accepted else "",
        principal=root.goal.principal if root else "",
    )
    return (requested,)


def _accepted(message: Input, seq: int) -> run.Accepted | None:
    record = message.records.get(seq)
    events = record.events if record is not None else ()
    return next((event for event in events if isinstance(event, run.Accepted)), None)


def _withdraw(state: State, word: approval.Withdraw, message: Input) -> Decision:
    """Close the request, also one that is still on its way here."""
    if state.decided is not None:
        return SEEN
    return (closing.decided(state, "withdrawn", message.time_ms, reason=word.reason),)
