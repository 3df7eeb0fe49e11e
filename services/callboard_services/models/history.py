"""A run's records, read back as what the model said and what came of it. Pure, and the same for the same records.

Which call belongs to which ask: the `Called` that follows a model's answer carries the calls in the order of the
asks, and where it carries fewer, the last asks were not called. Results that came late are not read here.
"""

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

import msgspec

from callboard_contracts import call, model, names, run


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a run, with the results it took: by `Taken.seq`, their `output_ref` resolved."""

    events: tuple[run.Event, ...]
    results: dict[int, call.Result] = {}


class Outcome(msgspec.Struct, frozen=True):
    """How a call ended. `result` is None when its message could not be read back; `taken` still tells its status."""

    taken: run.Taken
    result: call.Result | None


class Said(msgspec.Struct, frozen=True):
    """One answer of the model; per ask the id of its call (empty when none was made) and how it ended."""

    answer: model.Answer
    calls: tuple[str, ...] = ()
    outcomes: tuple[Outcome | None, ...] = ()


class Note(msgspec.Struct, frozen=True):
    """What the model must read before its next answer."""

    text: str


Step = Said | Note


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
    return sum(outcome.taken.tool == names.MODEL for outcome in _outcomes(history))


def steps(history: Sequence[Entry]) -> tuple[Step, ...]:
    """Return what was said, in order.

    :raises LookupError: an answer of the model is not among the results.
    :raises msgspec.ValidationError: an answer of the model is none.
    """
    ended = {outcome.taken.call: outcome for outcome in _outcomes(history)}
    found: list[Step] = []
    for entry in history:
        for event in entry.events:
            _add(found, event, ended)
    return tuple(found)


def outputs(history: Sequence[Entry]) -> tuple[Any, ...]:
    """Return what the tools returned, in order: only of calls that completed."""
    done = (outcome.result for outcome in _outcomes(history) if outcome.taken.tool != names.MODEL)
    return tuple(result.output for result in done if isinstance(result, call.Completed))


def _outcomes(history: Sequence[Entry]) -> Iterator[Outcome]:
    for entry in history:
        for event in entry.events:
            if isinstance(event, run.Took):
                yield from (_outcome(taken, entry) for taken in event.results if not taken.late)


def _outcome(taken: run.Taken, entry: Entry) -> Outcome:
    """Pair what was taken with its body. A call that was given up names the timer's message, which is no result."""
    result = entry.results.get(taken.seq)
    return Outcome(taken, result if result is not None and result.call == taken.call else None)


def _add(found: list[Step], event: run.Event, ended: dict[str, Outcome]) -> None:
    match event:
        case run.Took():
            found += [Said(answer) for taken in event.results if (answer := _answer(taken, ended))]
        case run.Called():
            _attach(found, event, ended)
        case run.Noted():
            found.append(Note(event.text))
        case run.Accepted() | run.Refused() | run.Deferred() | run.Armed() | run.Ended():
            pass
        case _:
            assert_never(event)


def _answer(taken: run.Taken, ended: dict[str, Outcome]) -> model.Answer | None:
    if taken.late or taken.tool != names.MODEL or taken.status != "completed":
        return None
    result = ended[taken.call].result
    if not isinstance(result, call.Completed):
        raise LookupError(f"the model's answer {taken.call} (message {taken.seq}) is missing from the history")
    return msgspec.convert(msgspec.to_builtins(result.output), model.Answer)


def _attach(found: list[Step], event: run.Called, ended: dict[str, Outcome]) -> None:
    """Give the newest answer its calls, once."""
    made = [made.id for made in event.calls if made.tool != names.MODEL]
    for at in reversed(range(len(found))):
        said = found[at]
        if isinstance(said, Said):
            found[at] = _with_calls(said, made, ended)
            return


def _with_calls(said: Said, made: list[str], ended: dict[str, Outcome]) -> Said:
    asked = len(said.answer.asks)
    if not made or not asked or said.calls:
        return said
    calls = tuple((made + [""] * asked)[:asked])
    return Said(said.answer, calls, tuple(ended.get(call_id) for call_id in calls))
