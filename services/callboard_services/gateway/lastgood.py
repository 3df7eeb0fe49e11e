"""Where a run can be taken up again: after a turn of tools whose every call has a known outcome. Pure.

A run is read backwards in segments, each from one question to the model to the next: at their borders nothing is open.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from callboard.why import Stored
from callboard_contracts import names, run


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A turn after which a run can be taken up."""

    turn: int
    """The number in its calls' ids, up to which the model is told what happened."""
    seq: int
    """The record in which the last of its calls was taken."""
    tokens: int
    """An estimate of the prompt at that point."""
    summary: int = 0
    """The result with the summary that stood in it; 0: none did."""
    number: int = 0
    """The same turn as people count it: how many times the model had answered."""


def asks_model(record: Stored) -> bool:
    """Tell whether a segment begins with this record."""
    return any(run.asks_model(event) for event in record.events)


def numbered(points: Iterable[Point], records: Iterable[tuple[int, int]]) -> list[Point]:
    """Return points with the number that people give their turns.

    :param records: of all records, oldest first, the sequence and the turns that it took.
    """
    upto, count = dict[int, int](), 0
    for seq, took in records:
        upto[seq] = count = count + took
    return [msgspec.structs.replace(one, number=upto[one.seq]) for one in points]


def point(segment: Sequence[Stored]) -> Point | None:
    """Return the point that a segment ends with, None when it has no turn of tools or one whose outcome is unknown.

    :param segment: records, oldest first; the first one asks the model.
    """
    folded = _Fold()
    for record in segment:
        for event in record.events:
            if folded.over(event):
                return folded.found
            folded.take(event, record.seq)
    return folded.found


class _Fold:
    """What is known while a segment is read."""

    def __init__(self) -> None:
        self.found: Point | None = None
        self._open: set[str] = set()
        self._tokens = self._turn = self._summary = 0
        self._begun = False

    def over(self, event: Any) -> bool:
        """Tell whether the segment ends before this event, which asks the model anew or tells of an unknown outcome."""
        if isinstance(event, run.Took):
            return any(taken.status == "lost" and taken.call in self._open for taken in event.results)
        return bool(self._turn) and run.asks_model(event)

    def take(self, event: Any, seq: int) -> None:
        self._begun = self._begun or run.asks_model(event)
        match event:
            case run.Called() if self._begun:
                self._turn = 0 if run.asks_model(event) else event.turn
                self._tokens += _told(event, "prompt_tokens")
                self._summary = _told(event, "summary") or self._summary
                self._open |= {call.id for call in event.calls}
            case run.Steered() | run.Noted():
                self._tokens += len(event.text) // run.BYTES_PER_TOKEN
            case run.Took() if self._begun:
                self._tokens = run.prompt_after(self._tokens, event.results)
                self._open -= {taken.call for taken in event.results}
                if self._turn and not self._open:
                    self.found = Point(turn=self._turn, seq=seq, tokens=self._tokens, summary=self._summary)
            case _:
                pass


def _told(event: run.Called, what: str) -> int:
    """Return what a question to the model says of its prompt: the planner's estimate, or the summary in it."""
    arguments = event.calls[0].arguments
    known = isinstance(arguments, dict) and event.calls[0].tool == names.MODEL
    return int(arguments.get(what, 0)) if known else 0
