"""Settling: a reservation ends once, with what the call cost or in full. All pure.

A run that ends with calls that have not answered is *closing*: their late results still settle, until the last of
their grants and a grace are over. What has not answered by then is committed in full, and the run is closed.
"""

from collections.abc import Iterable, Sequence

from callboard_contracts import guard, ids, run
from callboard_contracts.journal import Event, Record
from callboard_contracts.run import IN_FULL
from callboard_services.guard.control import cancelled, orphaned
from callboard_services.guard.evolve import fold
from callboard_services.guard.state import State

GRACE_MS = 10_000
"""How long after its grant expired a call may still answer."""
_UNWANTED = "the run that asked for it waits no longer"


def settle(state: State, settled: Sequence[run.Settlement]) -> list[Event]:
    """Return the settlement of the calls that still have a reservation; a sub-agent nobody waits for is cancelled."""
    entries = tuple(_entry(state, entry) for entry in settled if entry[0] in state.reserved)
    if not entries:
        return []
    given_up = [call for call, cost, _ in settled if cost == IN_FULL and call in state.reserved]
    agents = [call for call in given_up if state.reserved[call].agent]
    unwanted = [call for call in agents if not state.is_cancelled(call)]
    return [guard.Settled(entries=entries), *(cancelled(state, call, _UNWANTED) for call in unwanted)]


def _entry(state: State, entry: run.Settlement) -> run.Settlement:
    kept = state.reserved[entry[0]]
    return (entry[0], kept.micro_usd, kept.tokens) if entry[1] == IN_FULL else entry


def told(record: Record, settled: Sequence[run.Settlement]) -> tuple[run.Settlement, ...]:
    """Return what a run's record says of costs: of the results that it takes itself, and of earlier ones."""
    taken = [one for event in record.events if isinstance(event, run.Took) for one in event.results]
    own = {one.call: run.settlement(one) for one in taken if one.status != "refused" and not one.late}
    return (*own.values(), *(entry for entry in settled if entry[0] not in own))


def end(state: State, name: str, settled: Sequence[run.Settlement], now_ms: int) -> list[Event]:
    """Return what follows from a run's ending."""
    if name not in state.runs:  # what it said before is still on its way here, and must find it closed
        return [] if name in state.unopened else [closed(state, name)]
    if state.runs[name].ended:
        return []
    found = settle(state, settled)
    found += orphaned(fold(state, found), name, "the run that asked for it ended")
    after = fold(state, found)
    waiting = tuple(owed(after, name))
    if not waiting:
        found.append(closed(after, name))
        return [*found, *_closed_now(fold(after, found[-1:]))]  # what waited for this run alone, such as the root
    until_ms = max(now_ms, *(after.reserved[call].expires_ms for call in waiting)) + GRACE_MS
    closing = guard.Closing(run=name, until_ms=until_ms, calls=waiting)
    return [*found, closing, *armed(fold(after, [closing]))]


def late(state: State, took: run.Took) -> list[Event]:
    """Return what follows from results that came after their run had given them up or ended."""
    found = settle(state, tuple(run.settlement(one) for one in took.results if one.late))
    return [*found, *_closed_now(fold(state, found))] if found else []


def wake(state: State, now_ms: int) -> list[Event]:
    """Return what follows when the tree's timer comes due: what never answered is committed in full."""
    due = [name for name, kept in state.runs.items() if kept.ended and kept.until_ms <= now_ms]
    calls = dict.fromkeys(call for name in due for call in owed(state, name))
    found = settle(state, tuple((call, IN_FULL, 0) for call in calls))
    found += _closed_now(fold(state, found))
    return [*found, *armed(fold(state, found))] if found else []


def armed(state: State) -> list[Event]:
    """Set the timer for the run that closes first."""
    until = [kept.until_ms for kept in state.runs.values() if kept.ended]
    return [guard.Armed(at_ms=min(until))] if until else []


def owed(state: State, name: str) -> Iterable[str]:
    """Return the calls that a run still waits for: its own, for the root those of the whole tree."""
    return (call for call in state.reserved if "-" not in name or ids.run_of(call) == name)


def closed(state: State, name: str) -> guard.Closed:
    """Return the bill."""
    return guard.Closed(run=name, committed_micro_usd=state.committed_micro_usd, tokens=state.tokens, calls=state.calls)


def _closed_now(state: State) -> list[Event]:
    """Close what waits for nothing more, the root last."""
    ready = [name for name, kept in state.runs.items() if kept.ended and not any(owed(state, name))]
    return [closed(state, name) for name in sorted(ready, key=len, reverse=True)]
