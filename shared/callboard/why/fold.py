"""A run and its tree as far as waiting is concerned: small folds of their last records. Pure."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from callboard.why.facts import Stored
from callboard_contracts import approval, guard, ids, run
from callboard_contracts.call import Call


class Asked(msgspec.Struct, frozen=True):
    """A call that has not answered."""

    call: Call
    at_ms: int
    seq: int
    """The run's record that asked for it."""


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's own records say. `begun` is 0 when it has none."""

    begun: int = 0
    model: str = ""
    ended: run.Ended | run.Refused | None = None
    ended_ms: int = 0
    paused: run.Paused | None = None
    parked: tuple[str, ...] = ()
    """Calls that wait for a person, themselves or in a sub-agent."""
    deferred: run.Deferred | None = None
    open: dict[str, Asked] = {}
    refused: tuple[run.Taken, ...] = ()
    """Calls of the last turn that were not allowed."""
    last_ms: int = 0

    def status(self, *, paused: bool = False) -> str:
        """Return how the run stands: `queued`, `running`, `waiting` for a person, `paused`, or how it ended.

        :param paused: the guard says that the run or one above it is paused, of which it may not have heard.
        """
        if self.ended is not None:
            return self.ended.status if isinstance(self.ended, run.Ended) else "refused"
        if paused or self.paused is not None:
            return "paused"
        if self.parked:
            return "waiting"
        return "running" if self.begun else "queued"


class Paused(msgspec.Struct, frozen=True):
    """A pause that is in force."""

    run: str
    at_ms: int
    reason: str
    principal: str


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard's records say."""

    granted: dict[str, tuple[guard.Granted, int, int]] = {}
    """Call → its grant, when, and the record's sequence."""
    refused: dict[str, int] = {}
    """Call → when."""
    held: dict[str, int] = {}
    """Call → when."""
    asked: dict[str, tuple[approval.Request, int]] = {}
    """Call → what people must decide about it, and when they were asked."""
    paused: dict[str, Paused] = {}
    cancelled: dict[str, tuple[guard.Cancelled, int]] = {}
    closing: dict[str, guard.Closing] = {}
    closed: frozenset[str] = frozenset()

    def pause_of(self, name: str) -> Paused | None:
        """Return the pause that covers a run: its own, or the nearest ancestor's."""
        return next((self.paused[one] for one in ids.lineage(name) if one in self.paused), None)

    def cancel_of(self, name: str) -> tuple[guard.Cancelled, int] | None:
        """Return the cancellation that covers a run, and when it was recorded."""
        return next((self.cancelled[one] for one in ids.lineage(name) if one in self.cancelled), None)


def own(records: Iterable[Stored]) -> Own:
    """Return what a run's records say, oldest first."""
    state = Own()
    for record in records:
        state = msgspec.structs.replace(state, begun=state.begun or record.seq, last_ms=record.time_ms)
        for event in record.events:
            if isinstance(event, run.Event):
                state = _own(state, record, event)
    return state


def _own(state: Own, record: Stored, event: run.Event) -> Own:
    match event:
        case run.Accepted():
            return msgspec.structs.replace(state, model=event.model)
        case run.Called():
            asked = {call.id: Asked(call, record.time_ms, record.seq) for call in event.calls}
            return msgspec.structs.replace(state, open=state.open | asked, deferred=None, refused=())
        case run.Took():
            return _took(state, event)
        case run.Deferred():
            return msgspec.structs.replace(state, deferred=event)
        case run.Paused():
            return msgspec.structs.replace(state, paused=event)
        case run.Resumed():
            return msgspec.structs.replace(state, paused=None)
        case run.Parked():
            return msgspec.structs.replace(state, parked=event.calls)
        case run.Ended() | run.Refused():
            return msgspec.structs.replace(state, ended=event, ended_ms=record.time_ms)
        case _:  # what was noted, steered, armed or is to be retried does not say what is waited for
            return state


def _took(state: Own, event: run.Took) -> Own:
    taken = {one.call for one in event.results}
    refused = tuple(one for one in event.results if one.status == "refused" and one.code != "paused")
    left = {call: asked for call, asked in state.open.items() if call not in taken}
    return msgspec.structs.replace(state, open=left, refused=state.refused + refused)


def tree(records: Iterable[Stored]) -> Tree:
    """Return what the guard's records say, oldest first."""
    state = Tree()
    for record in records:
        for event in record.events:
            state = _tree(state, record, event)
    return state


def _tree(state: Tree, record: Stored, event: object) -> Tree:
    at = record.time_ms
    match event:
        case guard.Granted() | guard.Refused() | guard.Held() | guard.Answered() | guard.Withdrawn():
            return _call(state, record, event)
        case guard.Paused():
            pause = Paused(event.run, at, event.reason, event.principal)
            return msgspec.structs.replace(state, paused=state.paused | {event.run: pause})
        case guard.Resumed():
            left = {name: pause for name, pause in state.paused.items() if name != event.run}
            return msgspec.structs.replace(state, paused=left)
        case guard.Cancelled():
            return msgspec.structs.replace(state, cancelled=state.cancelled | {event.run: (event, at)})
        case guard.Closing():
            return msgspec.structs.replace(state, closing=state.closing | {event.run: event})
        case guard.Closed():
            return msgspec.structs.replace(state, closed=state.closed | {event.run})
        case _:  # openings, settlements, steering and timers hold nothing up
            return state


def _call(
    state: Tree, record: Stored, event: guard.Granted | guard.Refused | guard.Held | guard.Answered | guard.Withdrawn
) -> Tree:
    at = record.time_ms
    match event:
        case guard.Granted():
            granted = state.granted | {event.call.id: (event, at, record.seq)}
            return msgspec.structs.replace(_free(state, event.call.id), granted=granted)
        case guard.Refused():
            return msgspec.structs.replace(_free(state, event.call), refused=state.refused | {event.call: at})
        case guard.Answered():
            return _free(state, event.call)
        case guard.Withdrawn():
            return _free(state, *event.calls)
        case guard.Held() if event.requests:
            asked = {one.id: (one, at) for one in event.requests}
            return msgspec.structs.replace(_free(state, *asked), asked=state.asked | asked)
        case guard.Held():
            return msgspec.structs.replace(state, held=state.held | dict.fromkeys(event.calls, at))
        case _:
            assert_never(event)


def _free(state: Tree, *calls: str) -> Tree:
    """Neither a pause nor a person holds these calls any more."""
    return msgspec.structs.replace(
        state,
        held={call: at for call, at in state.held.items() if call not in calls},
        asked={call: one for call, one in state.asked.items() if call not in calls},
    )
