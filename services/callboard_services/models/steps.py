"""What was said in a run, in the order in which a model reads it. Pure, and the same for the same records.

Which call belongs to which ask: the `Called` that follows a model's answer carries the calls in the order of the
asks, and where it carries fewer, the last asks were not called. A call that a person had made again answers no ask: it
is told where its result came. What a person says while the model is being asked is told after that answer, which was
given without it.
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from callboard_contracts import call, model, names, run
from callboard_services.models import history
from callboard_services.models.history import Entry, Outcome


class Said(msgspec.Struct, frozen=True):
    """One answer of the model; per ask the id of its call (empty when none was made) and how it ended."""

    answer: model.Answer
    calls: tuple[str, ...] = ()
    outcomes: tuple[Outcome | None, ...] = ()
    at: int = 0
    """The place, among the entries, of the record that took it."""


class Note(msgspec.Struct, frozen=True):
    """What the model must read before its next answer."""

    text: str
    at: int = 0


class Person(msgspec.Struct, frozen=True):
    """What a person said to the run."""

    text: str
    at: int = 0


class Again(msgspec.Struct, frozen=True):
    """A call that a person had made again, and how it ended this time."""

    call: call.Call
    first: str
    """The id under which the model asked for it."""
    outcome: Outcome
    at: int = 0


Step = Said | Note | Person | Again


def steps(entries: Sequence[Entry]) -> tuple[Step, ...]:
    """Return what was said, in order.

    :raises LookupError: an answer of the model is not among the results.
    :raises msgspec.ValidationError: an answer of the model is none.
    """
    telling = _Telling(entries)
    for telling.at, entry in enumerate(entries):
        for event in entry.events:
            telling.take(event)
    return (*telling.found, *telling.held)


class _Telling:
    """What was said so far."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.found: list[Step] = []
        self.held: list[Step] = []
        """What a person said since the model is being asked."""
        self.at = 0
        """The place of the record that is read."""
        self._asking = ""
        self._again: dict[str, call.Call] = {}
        self._ended = {outcome.taken.call: outcome for outcome in history.outcomes(entries)}

    def take(self, event: run.Event) -> None:
        """Take the next event."""
        match event:
            case run.Took():
                for taken in event.results:
                    self._took(taken)
            case run.Called():
                self._called(event)
            case run.Noted():
                self.found.append(Note(event.text, self.at))
            case run.Steered():
                (self.held if self._asking else self.found).append(Person(event.text, self.at))
            case run.Accepted() | run.Refused() | run.Deferred() | run.Armed() | run.Ended():
                pass
            case run.Paused() | run.Resumed() | run.Parked() | run.Retried():
                pass
            case _:
                assert_never(event)

    def _took(self, taken: run.Taken) -> None:
        if taken.late:
            return
        if taken.call in self._again:
            made = self._again[taken.call]
            self.found.append(Again(made, self._first(made), self._ended[taken.call], self.at))
        if history.is_answer(taken) and taken.status == "completed":
            self.found.append(Said(_answer(self._ended[taken.call]), at=self.at))
        if taken.call == self._asking:
            self._asking = ""
            self.found += self.held
            self.held.clear()

    def _first(self, made: call.Call) -> str:
        first = made.again
        while first in self._again:
            first = self._again[first].again
        return first

    def _called(self, event: run.Called) -> None:
        self._again |= {made.id: made for made in event.calls if made.again}
        self._asking = next((made.id for made in event.calls if made.tool == names.MODEL), self._asking)
        self._attach([made.id for made in event.calls if made.tool != names.MODEL and not made.again])

    def _attach(self, made: list[str]) -> None:
        """Give the newest answer its calls, once."""
        for at in reversed(range(len(self.found)) if made else ()):
            said = self.found[at]
            if isinstance(said, Said):
                self.found[at] = _with_calls(said, made, self._ended)
                return


def _answer(outcome: Outcome) -> model.Answer:
    taken, result = outcome.taken, outcome.result
    if not isinstance(result, call.Completed):
        raise LookupError(f"the model's answer {taken.call} (message {taken.seq}) is missing from the history")
    return msgspec.convert(msgspec.to_builtins(result.output), model.Answer)


def _with_calls(said: Said, made: list[str], ended: dict[str, Outcome]) -> Said:
    asked = len(said.answer.asks)
    if not asked or said.calls:
        return said
    calls = tuple((made + [""] * asked)[:asked])
    outcomes = tuple(ended.get(call_id) for call_id in calls)
    return msgspec.structs.replace(said, calls=calls, outcomes=outcomes)
