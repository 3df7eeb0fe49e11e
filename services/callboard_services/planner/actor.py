"""The run actor. Invariant: every call that a run proposes is answered, given up or left open by its one ending.

The loop: *observe* (results are taken), *evaluate* (an answer is judged against the contract), *reason* (the model is
asked) and *act* (calls are proposed). Each input is decided against the state alone; said again, it changes nothing.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from callboard.actor import SEEN, Command, Dead, Decision, Input, Seen
from callboard_contracts import ids, model, names, run, subjects
from callboard_contracts.call import Completed, Failed, Lost, Refused, Result
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from callboard_services.planner import steps
from callboard_services.planner.accept import Start, accept
from callboard_services.planner.state import State, evolve, fold


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
        if isinstance(decision, Seen | Dead):
            return decision
        return decision + _timer(fold(state, decision), message.time_ms)

    def lane(self, events: Sequence[Event]) -> str:
        """Return the kind of a record: what happened last, timers aside."""
        told = [event for event in events if not isinstance(event, run.Armed)] or events
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

    def snapshot(self, state: State) -> bytes:
        """Return the state without the goal, which the first record holds."""
        return msgspec.json.encode(msgspec.structs.replace(state, accepted=None))

    def restore(self, snapshot: bytes, genesis: Record) -> State:
        """Return the state of a snapshot with the goal of the first record."""
        accepted = next((event for event in genesis.events if isinstance(event, run.Accepted)), None)
        return msgspec.structs.replace(msgspec.json.decode(snapshot, type=State), accepted=accepted)


def _decide(state: State, message: Input, facts: Facts) -> Decision:
    match message.body:
        case Start():
            return _start(state, message, message.body, facts)
        case Completed() | Failed() | Refused() | Lost():
            return _result(state, message, message.body, facts)
        case run.Wake():
            return _wake(state, message, facts)
        case run.Cancel():
            return SEEN if state.ended else _cancel(state, message.body)
        case other:
            return Dead("undecodable", f"a run does not take {type(other).__name__}")


def _start(state: State, message: Input, start: Start, facts: Facts) -> Decision:
    if state.accepted is not None or state.ended:
        same = state.accepted is None or state.accepted.goal_digest == start.digest
        return SEEN if same else Dead("conflict", f"the id {start.goal.id} was used for another goal")
    try:
        accepted = accept(start, facts, message.time_ms, message.traceparent)
    except CallboardError as error:
        return (
            run.Refused(
                code=error.code, message=str(error), skill=start.skill, parent=start.parent, goal_digest=start.digest
            ),
        )
    return (accepted, *steps.ask_model(evolve(state, accepted), facts, message.time_ms))


def _cancel(state: State, cancel: run.Cancel) -> Decision:
    by = f" by {cancel.principal}" if cancel.principal else ""
    return steps.end(state, "cancelled", "cancelled", cancel.reason or f"cancelled{by}")


def _result(state: State, message: Input, result: Result, facts: Facts) -> Decision:
    if state.accepted is None and not state.ended:
        return Dead("not_granted", f"no run asked for {result.call}")
    if result.call not in state.open:
        return _unexpected(state, message, result)
    took = run.Took(results=(_taken(state.open[result.call].tool, message, result),))
    after = evolve(state, took)
    if after.open:
        return (took,)
    return (took, *_step(after, took.results[0].tool, result, message, facts))


def _unexpected(state: State, message: Input, result: Result) -> Decision:
    """A result that nothing waits for: never asked for, said before, or late (booked, and it causes nothing)."""
    if not ids.is_call(result.call) or ids.turn_of(result.call) > state.turn:
        return Dead("not_granted", f"no run asked for {result.call}")
    if result.call not in state.given_up or state.ended:
        return SEEN
    taken = _taken("", message, result)
    return (run.Took(results=(msgspec.structs.replace(taken, late=True),)),)


def _taken(tool: str, message: Input, result: Result) -> run.Taken:
    if isinstance(result, Refused):
        return run.Taken(
            call=result.call,
            tool=tool,
            status="refused",
            seq=message.seq,
            code=result.code,
            message=result.message[:500],
        )
    usage = result.usage
    return run.Taken(
        call=result.call,
        tool=tool,
        status=_STATUS[type(result)],
        seq=message.seq,
        cost_micro_usd=usage.cost_micro_usd,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        unpriced=usage.unpriced,
        duration_ms=usage.duration_ms,
        model=usage.model,
        bytes=len(msgspec.json.encode(result.output)) if isinstance(result, Completed) else 0,
        code=result.code if isinstance(result, Failed) else "",
        message="" if isinstance(result, Completed) else result.message[:500],
    )


_STATUS: dict[type, Any] = {Completed: "completed", Failed: "failed", Lost: "lost"}


def _step(state: State, tool: str, result: Result, message: Input, facts: Facts) -> steps.Events:
    """All calls of the turn have answered: what now?"""
    if tool != names.MODEL:
        return steps.ask_model(state, facts, message.time_ms)
    match result:
        case Completed():
            return _answered(state, result, message, facts)
        case Failed():
            return steps.model_failed(
                state, result.code, result.message, retryable=result.retryable, now_ms=message.time_ms
            )
        case Lost():
            return steps.model_failed(state, "model_failed", result.message, retryable=True, now_ms=message.time_ms)
        case Refused():
            return steps.end(state, "failed", result.code, result.message)


def _answered(state: State, result: Completed, message: Input, facts: Facts) -> steps.Events:
    try:
        answer = msgspec.convert(result.output, model.Answer)
        output = msgspec.json.decode(message.blobs[answer.output_ref]) if answer.output_ref else answer.output
    except (msgspec.MsgspecError, KeyError) as error:
        return steps.model_failed(
            state,
            "provider_malformed",
            f"the models service answered off its contract: {error}",
            retryable=True,
            now_ms=message.time_ms,
        )
    return steps.act(state, answer, output, facts, message.time_ms)


def _wake(state: State, message: Input, facts: Facts) -> Decision:
    """The timer came due. Whatever is over now ends; a timer that nobody waits for is ignored."""
    accepted, now = state.accepted, message.time_ms
    if state.ended or accepted is None or state.armed_ms == 0 or now < state.armed_ms:
        return SEEN
    if now >= accepted.deadline_ms:
        return steps.end(state, "failed", "time_budget", f"{accepted.goal.limits.timeout_s:g} s are over")
    overdue = [call for call, kept in state.open.items() if now >= kept.deadline_ms]
    if overdue:
        return _give_up(state, overdue, message, facts)
    if state.deferred_ms and now >= state.deferred_ms:
        return steps.ask_model(state, facts, now)
    return ()


def _give_up(state: State, overdue: list[str], message: Input, facts: Facts) -> Decision:
    tools = [state.open[call].tool for call in overdue]
    took = run.Took(
        results=tuple(
            run.Taken(
                call=call, tool=tool, status="lost", seq=message.seq, code="call_timeout", message="no answer in time"
            )
            for call, tool in zip(overdue, tools, strict=True)
        )
    )
    after = evolve(state, took)
    if after.open:
        return (took,)
    if names.MODEL in tools:
        return (
            took,
            *steps.model_failed(after, "call_timeout", "no answer in time", retryable=True, now_ms=message.time_ms),
        )
    return (took, *steps.ask_model(after, facts, message.time_ms))


def _timer(state: State, now_ms: int) -> steps.Events:
    """Keep the one timer armed for the earliest deadline: again when it came due, or when something is due sooner."""
    if state.ended or state.accepted is None:
        return ()
    due = [state.accepted.deadline_ms, *(kept.deadline_ms for kept in state.open.values())]
    earliest = min(due + ([state.deferred_ms] if state.deferred_ms else []))
    fired = state.armed_ms <= now_ms
    return (run.Armed(at_ms=max(earliest, now_ms + 1)),) if fired or earliest < state.armed_ms else ()


def _to_parent(address: subjects.Address, event: run.Ended | run.Refused) -> Command:
    parent = subjects.Address.of_run(address.tenant, ids.run_of(address.run))
    return Command(str(parent.at("in", "child")), address.run, _as_result(address.run, event))


def _as_result(call: str, event: run.Ended | run.Refused) -> Completed | Failed:
    if isinstance(event, run.Ended) and event.status == "completed":
        return Completed(call=call, output=event.output, output_ref=event.output_ref)
    message = event.message if isinstance(event, run.Refused) else event.reason
    return Failed(call=call, code=event.code, message=message)
