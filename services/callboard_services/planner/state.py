"""A run as the planner knows it: a fold of its own records, bounded however long the run is."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from callboard_contracts import guard, names, run
from callboard_contracts.call import Call
from callboard_contracts.journal import Event
from callboard_contracts.run import IN_FULL

GRACE_MS = 10_000
"""How long after its deadline an unanswered call is still waited for."""
_BYTES_PER_TOKEN = 3


class Open(msgspec.Struct, frozen=True):
    """A call that has not answered."""

    tool: str
    deadline_ms: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The run after its last record. `accepted` is the first record's and not part of a snapshot."""

    accepted: run.Accepted | None = None
    ended: bool = False
    turn: int = 0
    asked: int = 0
    """How often the model was asked."""
    made: int = 0
    """How many calls were proposed."""
    open: dict[str, Open] = {}
    given_up: tuple[str, ...] = ()
    """Calls whose deadline passed: a late result is booked and causes nothing."""
    unsettled: tuple[run.Settlement, ...] = ()
    """Costs that the guard has not been told."""
    cost_micro_usd: int = 0
    rejected: int = 0
    """Answers in a row that were not accepted."""
    failures: int = 0
    """Model calls in a row that failed."""
    deferred_ms: int = 0
    """Ask the model again at this time; 0: nothing is deferred."""
    armed_ms: int = 0
    """When the run's timer is due; 0: none is armed."""
    context_tokens: int = 0
    """An estimate of the next prompt."""

    @property
    def begun(self) -> run.Accepted:
        """The first record of a run that has one.

        :raises LookupError: it has none, which is a bug of ours.
        """
        if self.accepted is None:
            raise LookupError("the run was never accepted")
        return self.accepted


def evolve(state: State, event: Event) -> State:
    """Return the run after an event of its own log."""
    match event:
        case run.Accepted():
            return msgspec.structs.replace(state, accepted=event, context_tokens=_first_prompt(event))
        case run.Took():
            return _took(state, event.results)
        case run.Called():
            return _called(state, event)
        case run.Noted():
            return _noted(state, event)
        case run.Deferred():
            return msgspec.structs.replace(state, deferred_ms=event.until_ms, failures=state.failures + 1)
        case run.Armed():
            return msgspec.structs.replace(state, armed_ms=event.at_ms)
        case run.Ended() | run.Refused():
            return msgspec.structs.replace(state, ended=True, open={}, unsettled=(), deferred_ms=0)
        case _ if isinstance(event, guard.Event):
            return state  # never in a run's own log
        case _:
            assert_never(event)


def fold(state: State, events: Iterable[Event]) -> State:
    """Return the run after several events."""
    for event in events:
        state = evolve(state, event)
    return state


def _first_prompt(event: run.Accepted) -> int:
    return 200 + len(msgspec.json.encode(event)) // _BYTES_PER_TOKEN


def _noted(state: State, event: run.Noted) -> State:
    return msgspec.structs.replace(
        state, rejected=state.rejected + 1, context_tokens=state.context_tokens + len(event.text) // _BYTES_PER_TOKEN
    )


def _took(state: State, results: tuple[run.Taken, ...]) -> State:
    still = {call: kept for call, kept in state.open.items() if all(taken.call != call for taken in results)}
    lost = tuple(taken.call for taken in results if taken.status == "lost" and not taken.late)
    booked = tuple(_settlement(taken) for taken in results if taken.status != "refused")
    return msgspec.structs.replace(
        state,
        open=still,
        given_up=state.given_up + lost,
        unsettled=state.unsettled + booked,
        cost_micro_usd=state.cost_micro_usd + sum(taken.cost_micro_usd for taken in results),
        context_tokens=_context(state.context_tokens, results),
        failures=0
        if any(taken.tool == names.MODEL and taken.status == "completed" for taken in results)
        else state.failures,
    )


def _settlement(taken: run.Taken) -> run.Settlement:
    """Return what a result cost; one that never came costs all that was reserved for it."""
    cost = IN_FULL if taken.code == "call_timeout" and taken.status == "lost" else taken.cost_micro_usd
    return (taken.call, cost, taken.input_tokens + taken.output_tokens)


def _context(tokens: int, results: tuple[run.Taken, ...]) -> int:
    for taken in results:
        if taken.tool == names.MODEL and taken.input_tokens:
            tokens = taken.input_tokens + taken.output_tokens
        else:
            tokens += 20 + taken.bytes // _BYTES_PER_TOKEN
    return tokens


def _called(state: State, event: run.Called) -> State:
    model = sum(call.tool == names.MODEL for call in event.calls)
    return msgspec.structs.replace(
        state,
        turn=event.turn,
        asked=state.asked + model,
        made=state.made + len(event.calls),
        open=state.open | {call.id: Open(call.tool, _deadline(event, call)) for call in event.calls},
        unsettled=(),
        deferred_ms=0,
        rejected=state.rejected if model else 0,
    )


def _deadline(event: run.Called, call: Call) -> int:
    return event.at_ms + int(call.timeout_s * 1000) + GRACE_MS
