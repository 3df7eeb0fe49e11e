"""How a request follows from its own records: one small function an event, all pure."""

from typing import assert_never

import msgspec

from callboard_contracts import approval, guard, run
from callboard_contracts.journal import Event
from callboard_services.approval.state import State

_REMEMBERED = 64


def evolve(state: State, event: Event) -> State:
    """Return the request after an event of its own log."""
    match event:
        case approval.Requested():
            return msgspec.structs.replace(state, requested=event, digest=event.request.digest)
        case approval.Voted():
            return _voted(msgspec.structs.replace(state, heard=_heard(state, event.id)), event)
        case approval.VoteRefused():
            return msgspec.structs.replace(state, heard=_heard(state, event.id))
        case approval.Reminded():
            return msgspec.structs.replace(state, reminded=event.nth, reminded_ms=event.at_ms)
        case approval.Escalated():
            return msgspec.structs.replace(state, escalated=True, more=(*state.more, *event.to))
        case approval.Armed():
            return msgspec.structs.replace(state, armed_ms=event.at_ms)
        case approval.Decided():
            return msgspec.structs.replace(state, decided=event)
        case _ if isinstance(event, run.Event | guard.Event):
            return state  # never in a request's own log
        case _:
            assert_never(event)


def _voted(state: State, event: approval.Voted) -> State:
    match event.vote:
        case "approve":
            return msgspec.structs.replace(state, approvals=_with(state.approvals, event.principal))
        case "edit":
            return _edited(state, event)
        case "delegate":
            gave = tuple(name for name in state.gave_away if name != event.to)
            left = tuple(name for name in state.approvals if name != event.principal)
            return msgspec.structs.replace(
                state, more=_with(state.more, event.to), gave_away=_with(gave, event.principal), approvals=left
            )
        case "deny" | "answer":
            return state  # either decides: that is said beside it
        case _:
            assert_never(event.vote)


def _edited(state: State, event: approval.Voted) -> State:
    """An approval binds to bytes: those of another digest count no more."""
    same = state.approvals if event.digest == state.digest else ()
    return msgspec.structs.replace(
        state, digest=event.digest, edited=True, arguments=event.arguments, approvals=_with(same, event.principal)
    )


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, name)))


def _heard(state: State, vote: str) -> tuple[str, ...]:
    return (*state.heard, vote)[-_REMEMBERED:]
