"""The run actor. Invariant: every call that a run proposes is answered, given up or left open by its one ending.

The loop: *observe* (results are taken), *evaluate* (an answer is judged against the contract), *reason* (the model is
asked) and *act* (calls are proposed). Each input is decided against the state alone; said again, it changes nothing.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from callboard.actor import SEEN, Command, Dead, Decision, Input
from callboard_contracts import ids, run, subjects
from callboard_contracts.call import Completed, Failed, Lost, Refused
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from callboard_services.planner import control, steps
from callboard_services.planner.accept import Start, accept
from callboard_services.planner.evolve import evolve, fold
from callboard_services.planner.observe import Answer, answer, take
from callboard_services.planner.state import State
from callboard_services.planner.timer import armed, due, wake


class Planner:
    """See `callboard.actor.Actor`."""

    name = "planner"
    kind: subjects.Actor = "run"

    def initial(self) -> State:
        """Return a run that nobody has asked for yet."""
        return State()

    def evolve(self, state: State, event: Event) -> State:
        """Return the run after an event."""
        return evolve(state, event)

    def decide(self, state: State, message: Input, facts: Facts) -> Decision:
        """Say what happens in the run."""
        decision = _decide(state, message, facts)
        if not isinstance(decision, tuple):
            return decision
        return decision + armed(fold(state, decision), message.time_ms)

    def lane(self, events: Sequence[Event]) -> str:
        """Return the kind of a record: an ending whatever came late with it, else what happened last, timers aside."""
        ending: list[Event] = [event for event in events if isinstance(event, run.Ended | run.Refused)]
        told = ending or [event for event in events if not isinstance(event, run.Armed)] or events
        return type(told[-1]).__name__.lower()

    def commands(self, address: subjects.Address, record: Record) -> Sequence[Command]:
        """Return what follows: the end of a sub-agent is its parent's result."""
        if "-" not in address.run:
            return ()
        return [_to_parent(address, e) for e in record.events if isinstance(e, run.Ended | run.Refused)]

    def needs(self, body: Any) -> Sequence[str]:
        """Return what an answer keeps elsewhere and the contract must be checked against."""
        if not isinstance(body, Completed) or not isinstance(body.output, dict):
            return ()
        reference = body.output.get("output_ref", "") if body.output.get("type") == "model.answer.v1" else ""
        return (reference,) if reference else ()

    def reads(self, state: State, body: Any) -> Sequence[int]:  # noqa: ARG002 - the wish says it
        """Return the record that asked for a call which is to be made again."""
        return (body.source,) if isinstance(body, run.Retry) else ()

    def begins(self, body: Any) -> bool:
        """Tell whether it is a goal."""
        return isinstance(body, Start)

    def timer_ms(self, state: State) -> int:
        """Return when the run's timer is due; there is none while every clock of it stands still."""
        return state.armed_ms if due(state) else 0

    def finished(self, state: State) -> bool:
        """Tell whether the run ended."""
        return state.ended

    def snapshot(self, state: State) -> bytes:
        """Return the state without the goal, which the first record holds."""
        return msgspec.json.encode(msgspec.structs.replace(state, accepted=None))

    def restore(self, snapshot: bytes, genesis: Record) -> State:
        """Return the state of a snapshot with the goal of the first record."""
        accepted = next((event for event in genesis.events if isinstance(event, run.Accepted)), None)
        state = msgspec.json.decode(snapshot, type=State)
        digest = state.digest or (accepted.goal_digest if accepted else "")
        return msgspec.structs.replace(state, accepted=accepted, digest=digest)


def _decide(state: State, message: Input, facts: Facts) -> Decision:
    match message.body:
        case Start():
            return _start(state, message, message.body, facts)
        case Completed() | Failed() | Refused() | Lost():
            return take(state, message, message.body, facts)
        case Answer():
            return answer(state, message, message.body, facts)
        case run.Wake():
            return wake(state, message, facts)
        case run.Cancel() | run.Pause() | run.Resume() | run.Park() | run.Steer() | run.Retry():
            return control.told(state, message.body, message, facts)
        case other:
            return Dead("undecodable", f"a run does not take {type(other).__name__}")


def _start(state: State, message: Input, start: Start, facts: Facts) -> Decision:
    if state.accepted is not None or state.ended:
        same = state.digest in ("", start.digest)
        return SEEN if same else Dead("conflict", f"the id {start.goal.id} was used for another goal")
    try:
        accepted = accept(start, facts, message.time_ms + start.waited_ms, message.traceparent)
    except CallboardError as error:
        return (
            run.Refused(
                code=error.code, message=str(error), skill=start.skill, parent=start.parent, goal_digest=start.digest
            ),
        )
    return (accepted, *steps.ask_model(evolve(state, accepted), facts, message.time_ms + start.waited_ms))


def _to_parent(address: subjects.Address, event: run.Ended | run.Refused) -> Command:
    parent = subjects.Address.of_run(address.tenant, ids.run_of(address.run))
    return Command(str(parent.at("in", "child")), address.run, _as_result(address.run, event))


def _as_result(call: str, event: run.Ended | run.Refused) -> Completed | Failed:
    if isinstance(event, run.Ended) and event.status == "completed":
        return Completed(call=call, output=event.output, output_ref=event.output_ref)
    message = event.message if isinstance(event, run.Refused) else event.reason
    return Failed(call=call, code=event.code, message=message)
