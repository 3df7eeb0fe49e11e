"""A run's records as they were read back, and what they say of its calls. Pure.

The first entry is the acceptance. What lies between it and the second may have been left unread: then it says how
many answers of the model that were. Results that came late are not read here.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from callboard_contracts import call, model, names, run


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a run, with the results it took, by `Taken.seq`."""

    events: tuple[run.Event, ...]
    results: dict[int, call.Result] = {}
    """Their `output_ref` is resolved; the output of one that is very large is a `Part`."""
    left_out: int = 0
    """How many answers of the model lie between this record and the next one, unread."""
    standing: "Standing | None" = None
    """On the acceptance: the summary that stands for what lies between it and the next record."""
    seq: int = 0
    """The record's sequence."""
    run: str = ""
    """The run whose record it is, when that is one which this run takes up again."""


class Standing(msgspec.Struct, frozen=True):
    """A summary of a run's older steps."""

    seq: int
    """Of the result that holds it."""
    summary: model.Summary


class Part(msgspec.Struct, frozen=True):
    """The beginning of an output that is too large to be read."""

    text: str
    """Of its JSON."""
    bytes: int
    """The size of the whole."""


class Outcome(msgspec.Struct, frozen=True):
    """How a call ended. `result` is None when its message could not be read back; `taken` still tells its status."""

    taken: run.Taken
    result: call.Result | None


def accepted(history: Sequence[Entry]) -> run.Accepted:
    """Return the goal as it was taken.

    :raises LookupError: the records do not start with it.
    """
    first = history[0].events[0] if history and history[0].events else None
    if not isinstance(first, run.Accepted):
        raise LookupError("the run's first record is not its acceptance")
    return first


def answered(history: Sequence[Entry]) -> int:
    """Return how many answers of a model, failed ones too, the run has taken."""
    summed_up = sum(entry.standing.summary.answers for entry in history if entry.standing is not None)
    return summed_up + sum(entry.left_out + answers(entry.events) for entry in history)


def answers(events: Iterable[run.Event]) -> int:
    """Return how many answers of a model were taken. A call that was refused never reached a model."""
    taken = (one for event in events if isinstance(event, run.Took) for one in event.results)
    return sum(map(run.is_turn, taken))


def is_answer(taken: run.Taken) -> bool:
    """Tell whether a result is the model's word on the run's next step, and not a summary of its older ones."""
    return taken.tool == names.MODEL and not taken.late and not taken.context_tokens


def until(events: Iterable[run.Event], turn: int) -> tuple[run.Event, ...]:
    """Return what happened up to the answers of a turn: without what was done in the turns after it."""
    kept: list[run.Event] = []
    for event in events:
        if isinstance(event, run.Called) and event.turn > turn:
            break
        kept.append(event)
    return tuple(kept)


def outcomes(history: Sequence[Entry]) -> Iterator[Outcome]:
    """Yield how calls ended, in the order in which the run took it."""
    for entry in history:
        for event in entry.events:
            if isinstance(event, run.Took):
                yield from (_outcome(taken, entry) for taken in event.results if not taken.late)


def _outcome(taken: run.Taken, entry: Entry) -> Outcome:
    """Pair what was taken with its body. A call that was given up names the timer's message, which is no result."""
    result = entry.results.get(taken.seq)
    return Outcome(taken, result if result is not None and result.call == taken.call else None)
