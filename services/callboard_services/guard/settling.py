"""Settling: a reservation ends once, with what the call cost or in full. The end of a run settles what is left."""

from collections.abc import Iterator, Sequence

from callboard_contracts import guard, ids, run
from callboard_contracts.journal import Event
from callboard_contracts.run import IN_FULL
from callboard_services.guard.state import State, fold


def settle(state: State, settled: Sequence[run.Settlement]) -> list[Event]:
    """Return the settlement of the calls that still have a reservation."""
    entries = tuple(_entry(state, entry) for entry in settled if entry[0] in state.reserved)
    return [guard.Settled(entries=entries)] if entries else []


def _entry(state: State, entry: run.Settlement) -> run.Settlement:
    kept = state.reserved[entry[0]]
    return (entry[0], kept.micro_usd, kept.tokens) if entry[1] == IN_FULL else entry


def close(state: State, name: str, event: run.Ended) -> list[Event]:
    """Settle what the run knows; what never answered is committed in full, so that no cost is lost."""
    if name not in state.runs:
        return []
    unanswered = tuple((call, IN_FULL, 0) for call in _unanswered(state, name, event))
    found = settle(state, (*event.settled, *unanswered))
    after = fold(state, found)
    closed = guard.Closed(
        run=name, committed_micro_usd=after.committed_micro_usd, tokens=after.tokens, calls=after.calls
    )
    return [*found, closed]


def _unanswered(state: State, name: str, event: run.Ended) -> Iterator[str]:
    told = {call for call, _, _ in event.settled}
    for call in state.reserved:
        if call not in told and (ids.run_of(call) == name or "-" not in name):
            yield call
