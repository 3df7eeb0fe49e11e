"""The tree actor. Invariant: at every record, committed + reserved never passes the envelope, overruns of calls aside.

It reads the records of the tree's runs: an acceptance opens a run, calls are granted or refused one by one in their
order, settlements turn reservations into costs, an ending closes. A grant is event and command in one message.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from callboard.actor import LATER, SEEN, Command, Dead, Decision, Input
from callboard_contracts import guard, names, run, subjects
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from callboard_services.guard.approving import decided
from callboard_services.guard.commands import alone, commands
from callboard_services.guard.control import approved_meanwhile, cancelled, control, released
from callboard_services.guard.deciding import decide_call
from callboard_services.guard.evolve import evolve, fold
from callboard_services.guard.settling import end, late, settle, told, wake
from callboard_services.guard.state import State
from callboard_services.guard.waiting import concluded, given_up

_KINDS: Final[dict[type, str]] = {
    guard.Granted: "calls",
    guard.Refused: "refusal",
    guard.Paused: "pause",
    guard.Resumed: "resumption",
    guard.Steered: "steering",
    guard.Answered: "answer",
    guard.Withdrawn: "withdrawal",
}


class Guard:
    """See `callboard.actor.Actor`."""

    name = "guard"
    kind: subjects.Actor = "tree"

    def initial(self) -> State:
        """Return a tree that nobody has opened."""
        return State()

    def evolve(self, state: State, event: Event) -> State:
        """Return the tree after an event."""
        return evolve(state, event)

    def decide(self, state: State, message: Input, facts: Facts) -> Decision:
        """Decide every call that a run's record proposes."""
        decision = self._decide(state, message, facts)
        return concluded(state, decision) if isinstance(decision, tuple) else decision

    def _decide(self, state: State, message: Input, facts: Facts) -> Decision:
        match message.body:
            case Record():
                return _read(state, message.body, message, facts)
            case guard.Cancel() | guard.Pause() | guard.Resume() | guard.Steer():
                return control(state, message.body, message, facts)
            case guard.Decide():
                return decided(state, message.body, message, facts)
            case run.Wake():
                return tuple(wake(state, message.time_ms)) or SEEN
            case other:
                return Dead("undecodable", f"a tree does not take {type(other).__name__}")

    def lane(self, events: Sequence[Event]) -> str:
        """Return the kind of a record: a lone grant is the command that its tool's executors pull.

        No kind is also one of a run's: on live, where both meet, the kind alone tells what it is.
        """
        lone = alone(events)
        if lone is not None:
            return f"call.{names.token(lone.call.tool)}"
        said: list[Event] = [event for event in events if isinstance(event, guard.Resumed | guard.Held)]
        said += [event for event in events if isinstance(event, guard.Cancelled)]  # executors listen for that kind
        told = said or [event for event in events if not isinstance(event, guard.Armed | guard.Waiting)] or events
        return _KINDS.get(type(told[-1]), type(told[-1]).__name__.lower())

    def commands(self, address: subjects.Address, record: Record) -> Sequence[Command]:
        """Return what follows from a record."""
        return commands(address, record)

    def needs(self, body: Any) -> Sequence[str]:
        """Return the arguments that are kept elsewhere: they are checked before the grant."""
        if not isinstance(body, Record):
            return ()
        called = [event for event in body.events if isinstance(event, run.Called)]
        return [call.arguments_ref for event in called for call in event.calls if call.arguments_ref]

    def reads(self, state: State, body: Any) -> Sequence[int]:
        """Return the records whose calls go on when a run is resumed, or when people decided."""
        if isinstance(body, guard.Decide):
            asked = state.asked.get(body.call)
            return (asked.source,) if asked is not None else ()
        if not isinstance(body, guard.Resume):
            return ()
        return tuple(dict.fromkeys((*released(state, body.run), *approved_meanwhile(state, body.run))))

    def begins(self, body: Any) -> bool:
        """Tell whether it is the first record of a root."""
        first = body.events[0] if isinstance(body, Record) else None
        return isinstance(first, run.Accepted) and not first.parent

    def timer_ms(self, state: State) -> int:
        """Return when the tree's timer is due: when the first run that ended waits no longer."""
        return min((kept.until_ms for kept in state.runs.values() if kept.ended), default=0)

    def finished(self, state: State) -> bool:
        """Tell whether the tree is closed."""
        return state.closed

    def snapshot(self, state: State) -> bytes:
        """Return the whole state: it is bounded by the tree's open runs and calls."""
        return msgspec.json.encode(state)

    def restore(self, snapshot: bytes, genesis: Record) -> State:  # noqa: ARG002 - the snapshot is whole
        """Return the state of a snapshot."""
        return msgspec.json.decode(snapshot, type=State)


def _read(state: State, record: Record, message: Input, facts: Facts) -> Decision:
    name = message.address.run
    if state.is_over(name):
        return SEEN
    turns = [event.turn for event in record.events if isinstance(event, run.Called)]
    if turns and turns[0] > 1 and name not in state.runs and name not in state.unopened:
        return LATER  # its first record is still on its way here
    found: list[Event] = []
    for event in record.events:
        new = _on(state, event, message, facts)
        state = fold(state, new)
        found += new
    return tuple(found) or SEEN


def _on(state: State, event: Event, message: Input, facts: Facts) -> list[Event]:
    match event:
        case run.Accepted():
            return _open(state, event, message.seq)
        case run.Called():
            return _called(state, event, message, facts)
        case run.Took():
            return [*late(state, event), *given_up(state, [one.call for one in event.results])]
        case run.Ended():
            settled = told(message.body, event.settled)
            return end(state, message.address.run, settled, message.time_ms)
        case _:
            return []


def _open(state: State, event: run.Accepted, seq: int) -> list[Event]:
    name = event.goal.id
    if name in state.runs or name in state.cancelled:
        return []
    if state.is_cancelled(name):
        return [cancelled(state, name, "its parent was cancelled")]
    if state.closed or (event.parent and name not in state.reserved):
        return []
    parent = state.runs.get(event.parent)
    if event.parent and (parent is None or parent.ended):
        return []
    tools = event.tools
    if parent is not None and parent.tools is not None:
        tools = parent.tools if tools is None else tuple(tool for tool in tools if tool in parent.tools)
    return [
        guard.Opened(
            run=name,
            limits=event.goal.limits,
            tools=tools,
            parent=event.parent,
            skill_digest=event.skill_digest,
            traceparent="" if event.parent else event.traceparent,
            accepted=seq,
            paused=state.nth if state.is_paused(name) else 0,
            resumed=0 if state.is_paused(name) else state.nth,
        )
    ]


def _called(state: State, event: run.Called, message: Input, facts: Facts) -> list[Event]:
    name = message.address.run
    if event.turn <= state.decided(name):
        return []
    found: list[Event] = settle(state, told(message.body, event.settled))
    state = fold(state, found)
    tools = [call.id for call in event.calls if call.tool != names.MODEL]
    if tools and state.is_paused(name) and not state.is_cancelled(name):
        return [*found, guard.Held(run=name, turn=event.turn, source=message.seq, calls=tuple(tools), reason="paused")]
    for call in event.calls:
        found.append(decide_call(state, call, message.seq, message, facts))
        state = evolve(state, found[-1])
    return found
