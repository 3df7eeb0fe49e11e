"""What must hold of every history, whatever went wrong on the way. Each check yields sentences that say what does not.

I1  an accepted goal ends once, and so does every run below it
I2  a call is taken once and granted once, a turn happens once, a cause is named once, the chain of records is whole
I3  what changes the world happens at most once for each call
I4  committed + reserved never passes the envelope; in the end nothing is reserved and every call is accounted for
I5  after a cancellation nothing below it is granted, and nothing while it is paused
I6  the fold of the log is the state that the workers held; each record names the digest of the one before it
I7  what follows from a record was sent
I8  a goal waits no longer than it may, by the broker's clock: see `starts`
I9  what people must decide runs only after they approved those very bytes: see `approvals`
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from callboard_contracts import guard, ids, run
from callboard_contracts.call import Call
from callboard_contracts.journal import link_of
from tests.simulation import approvals
from tests.simulation.history import ACTORS, History, Log
from tests.simulation.work import LASTING


class Remembered(msgspec.Struct, frozen=True):
    """A state that a worker held for an actor, as of a record."""

    kind: str
    key: str
    seq: int
    state: Any


def violations(
    history: History,
    goals: Iterable[str],
    effects: Mapping[str, int],
    held: Sequence[Remembered],
    gated: Callable[[Call], bool] = lambda _: False,
) -> Iterator[str]:
    """Yield everything that does not hold at the end of a simulation.

    :param goals: the ids that were accepted for publication. :param effects: how often each call changed the world.
    :param gated: which calls people must decide.
    """
    for goal in goals:
        if goal not in history.runs:
            yield f"I1 the goal {goal} has no record"
    for log in history.runs.values():
        yield from _run(log)
    for log in history.trees.values():
        yield from _tree(log, history)
    for log in history.logs():
        yield from _chain(log)
        yield from _commands(log, history)
    yield from approvals.violations(history, gated)
    yield from _effects(history, effects)
    yield from _states(history, held)


def _twice(found: Iterable[object]) -> list[object]:
    return [what for what, times in Counter(found).items() if times > 1]


def _run(log: Log) -> Iterator[str]:
    ends = [event for _, event in log.events() if isinstance(event, run.Ended | run.Refused)]
    if len(ends) != 1:
        yield f"I1 the run {log.key} has {len(ends)} ends"
    taken = [taken for _, event in log.events() if isinstance(event, run.Took) for taken in event.results]
    for call in _twice(each.call for each in taken if not each.late):
        yield f"I2 the call {call} was taken twice"
    for call in _twice(each.call for each in taken if each.late):
        yield f"I2 the late result of {call} was taken twice"
    turns = [event.turn for _, event in log.events() if isinstance(event, run.Called)]
    if turns != list(range(1, len(turns) + 1)):
        yield f"I2 the turns of {log.key} are {turns}"
    open_ = set(ends[0].open) if ends and isinstance(ends[0], run.Ended) else set()
    made = [call.id for _, event in log.events() if isinstance(event, run.Called) for call in event.calls]
    for call in made:
        if call not in open_ and all(each.call != call for each in taken):
            yield f"I4 the call {call} was neither answered nor given up, and its run's end does not name it"


def _chain(log: Log) -> Iterator[str]:
    before, link = 0, ""
    for entry in log.entries:
        if entry.prev != before:
            yield f"I2 record {entry.seq} of {log.kind} {log.key} follows {entry.prev}, not {before}"
        if entry.record.link != link:
            yield f"I6 record {entry.seq} of {log.kind} {log.key} does not name the digest of {before}"
        before, link = entry.seq, link_of(entry.body)
    causes = [cause for entry in log.entries for cause in entry.record.causes if not _shared(log, cause)]
    for cause in _twice(causes):
        yield f"I2 the cause {cause} was taken twice by {log.kind} {log.key}"


def _shared(log: Log, cause: str) -> bool:
    """Tell whether several messages bear an id: results of one call, of which how many are taken is checked apart,
    and a timer that was armed again for the same time.
    """
    return cause.startswith("timer:") or (log.kind == "run" and ids.is_call(cause))


def _tree(log: Log, history: History) -> Iterator[str]:
    grants = [event for _, event in log.events() if isinstance(event, guard.Granted)]
    for call in _twice(event.call.id for event in grants):
        yield f"I2 the call {call} was granted twice"
    yield from _stopped(log)
    yield from _prefixes(log)
    yield from _bill(log)
    for event in grants:
        if ids.run_of(event.call.id) not in history.runs:
            yield f"I2 the call {event.call.id} was granted to a run that is none"


def _stopped(log: Log) -> Iterator[str]:
    cancelled: dict[str, None] = {}
    paused: dict[str, None] = {}
    for entry, event in log.events():
        match event:
            case guard.Cancelled():
                cancelled[event.run] = None
            case guard.Paused():
                paused[event.run] = None
            case guard.Resumed():
                paused.pop(event.run, None)
            case guard.Granted():
                above = ids.lineage(ids.run_of(event.call.id))
                if any(name in cancelled for name in above):
                    yield f"I5 record {entry.seq} grants {event.call.id} after its run was cancelled"
                if any(name in paused for name in above):
                    yield f"I5 record {entry.seq} grants {event.call.id} while its run is paused"
            case _:
                pass


def _prefixes(log: Log) -> Iterator[str]:
    """Check the envelope after every record."""
    for entry, state in log.states():
        limits = state.limits
        if limits is None:
            continue
        money = state.committed_micro_usd + state.reserved_micro_usd
        if limits.budget_micro_usd is not None and money > limits.budget_micro_usd:
            yield f"I4 at record {entry.seq} the tree {log.key} has used {money} of {limits.budget_micro_usd} µ$"
        if (tokens := state.tokens + state.reserved_tokens) > limits.max_tokens:
            yield f"I4 at record {entry.seq} the tree {log.key} has used {tokens} of {limits.max_tokens} tokens"
        if state.calls > limits.max_calls or state.started > limits.max_runs:
            yield f"I4 at record {entry.seq} the tree {log.key} has made {state.calls} calls, {state.started} runs"
        for name, one in state.runs.items():
            if one.slice_micro_usd is not None and one.used_micro_usd > one.slice_micro_usd:
                yield f"I4 at record {entry.seq} {name} has used {one.used_micro_usd} of its {one.slice_micro_usd} µ$"


def _bill(log: Log) -> Iterator[str]:
    """Check the sums in the end, from the events and not from the actor's own arithmetic."""
    reserved: dict[str, int] = {}
    committed = 0
    for entry, event in log.events():
        if isinstance(event, guard.Granted):
            reserved[event.call.id] = event.reserved_micro_usd
        elif isinstance(event, guard.Settled):
            for call, cost, _ in event.entries:
                if call not in reserved:
                    yield f"I4 record {entry.seq} settles {call}, for which nothing was reserved"
                reserved.pop(call, None)
                committed += cost
        elif isinstance(event, guard.Closed) and event.committed_micro_usd != committed:
            yield f"I4 record {entry.seq} bills {event.committed_micro_usd} µ$ where {committed} were committed"
    state = list(log.states())[-1][1]
    if reserved or state.reserved_micro_usd or state.reserved_tokens:
        yield f"I4 in the end the tree {log.key} still has a reservation for {', '.join(reserved)}"
    if state.committed_micro_usd != committed:
        yield f"I4 the tree {log.key} has committed {state.committed_micro_usd}, its settlements are {committed} µ$"


def _effects(history: History, effects: Mapping[str, int]) -> Iterator[str]:
    granted = {
        event.call.id: event.call.tool
        for log in history.trees.values()
        for _, event in log.events()
        if isinstance(event, guard.Granted)
    }
    for call, times in effects.items():
        if call not in granted:
            yield f"I3 the call {call} ran without a grant"
        elif times > 1 and granted[call] in LASTING:
            yield f"I3 {granted[call]} had its effect {times} times for {call}"


def _commands(log: Log, history: History) -> Iterator[str]:
    for entry in log.entries:
        for command in ACTORS[log.kind].commands(entry.address, entry.record):
            if (command.subject, command.id) not in history.said:
                yield f"I7 the command {command.subject} of record {entry.seq} was never sent"


def _states(history: History, held: Sequence[Remembered]) -> Iterator[str]:
    folded = {(log.kind, log.key, entry.seq): state for log in history.logs() for entry, state in log.states()}
    for each in held:
        if each.seq and folded.get((each.kind, each.key, each.seq)) != each.state:
            yield f"I6 the state that was held of {each.kind} {each.key} at {each.seq} is not the fold of its log"
