"""The tree actor. Invariant: at every record, committed + reserved never passes the envelope, overruns of calls aside.

It reads the records of the tree's runs: an acceptance opens a run, calls are granted or refused one by one in their
order, settlements turn reservations into costs, an ending closes. A grant is event and command in one message.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from callboard.actor import SEEN, Command, Dead, Decision, Input
from callboard_contracts import call as calls
from callboard_contracts import guard, ids, names, run, subjects
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from callboard_services.guard.checks import check
from callboard_services.guard.commands import commands
from callboard_services.guard.settling import close, settle
from callboard_services.guard.state import State, evolve, fold


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
        if isinstance(message.body, guard.Cancel):
            return _cancel(state, message.body)
        if not isinstance(message.body, Record):
            return Dead("undecodable", f"a tree does not take {type(message.body).__name__}")
        found: list[Event] = []
        for event in message.body.events:
            new = _on(state, event, message, facts)
            state = fold(state, new)
            found += new
        return tuple(found) or SEEN

    def lane(self, events: Sequence[Event]) -> str:
        """Return the kind of a record: a lone grant is the command that its tool's executors pull.

        No kind is also one of a run's: on live, where both meet, the kind alone tells what it is.
        """
        granted = [event for event in events if isinstance(event, guard.Granted)]
        if len(granted) == 1:
            return f"call.{names.token(granted[0].call.tool)}"
        if granted:
            return "calls"
        return "refusal" if isinstance(events[-1], guard.Refused) else type(events[-1]).__name__.lower()

    def commands(self, address: subjects.Address, record: Record) -> Sequence[Command]:
        """Return what follows from a record."""
        return commands(address, record)

    def needs(self, body: Any) -> Sequence[str]:
        """Return the arguments that are kept elsewhere: they are checked before the grant."""
        if not isinstance(body, Record):
            return ()
        called = [event for event in body.events if isinstance(event, run.Called)]
        return [call.arguments_ref for event in called for call in event.calls if call.arguments_ref]

    def snapshot(self, state: State) -> bytes:
        """Return the whole state: it is bounded by the tree's open runs and calls."""
        return msgspec.json.encode(state)

    def restore(self, snapshot: bytes, genesis: Record) -> State:  # noqa: ARG002 - the snapshot is whole
        """Return the state of a snapshot."""
        return msgspec.json.decode(snapshot, type=State)


def _on(state: State, event: Event, message: Input, facts: Facts) -> list[Event]:
    match event:
        case run.Accepted():
            return _open(state, event)
        case run.Called():
            return _called(state, event, message, facts)
        case run.Ended():
            return close(state, message.address.run, event)
        case _:
            return []


def _cancel(state: State, wish: guard.Cancel) -> Decision:
    """Stop a run and its descendants: also one that has no record yet, or whose children are still to come."""
    if state.closed or state.is_cancelled(wish.run):
        return SEEN
    below = tuple(name for name in state.runs if wish.run in ids.lineage(name))
    return (guard.Cancelled(run=wish.run, reason=wish.reason, principal=wish.principal, open=below or (wish.run,)),)


def _open(state: State, event: run.Accepted) -> list[Event]:
    name = event.goal.id
    if state.is_cancelled(name):
        return [guard.Cancelled(run=name, reason="its parent was cancelled", open=(name,))]
    if name in state.runs or state.closed or (event.parent and name not in state.reserved):
        return []
    parent = state.runs.get(event.parent)
    if event.parent and parent is None:
        return []
    tools = event.tools
    if parent is not None and parent.tools is not None:
        tools = parent.tools if tools is None else tuple(tool for tool in tools if tool in parent.tools)
    return [
        guard.Opened(
            run=name, limits=event.goal.limits, tools=tools, parent=event.parent, skill_digest=event.skill_digest
        )
    ]


def _called(state: State, event: run.Called, message: Input, facts: Facts) -> list[Event]:
    known = state.runs.get(message.address.run)
    if known is not None and event.turn <= known.turn:
        return []
    found: list[Event] = settle(state, event.settled)
    state = fold(state, found)
    for call in event.calls:
        decided = _decide_call(state, call, message, facts)
        state = evolve(state, decided)
        found.append(decided)
    return found


def _decide_call(state: State, call: calls.Call, message: Input, facts: Facts) -> guard.Granted | guard.Refused:
    run_ = state.runs.get(message.address.run)
    try:
        worst = check(state, run_, call, _arguments(call, message), facts)
    except CallboardError as error:
        return guard.Refused(call=call.id, tool=call.tool, code=error.code, message=f"{error.entry.title}: {error}")
    return guard.Granted(
        call=call,
        source=message.seq,
        expires_ms=message.time_ms + int(call.timeout_s * 1000),
        reserved_micro_usd=worst.micro_usd,
        reserved_tokens=worst.tokens,
        unpriced=worst.unpriced,
        skill_digest=run_.skill_digest if run_ else "",
        depth=ids.depth_of(call.id),
    )


def _arguments(call: calls.Call, message: Input) -> Any:
    return msgspec.json.decode(message.blobs[call.arguments_ref]) if call.arguments_ref else call.arguments
