"""Where a run can be taken up again: after a turn of tools whose every call has a known outcome. Pure.

A run is read backwards in segments, each from one question to the model to the next: at their borders nothing is open.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from callboard.why import Stored
from callboard_contracts import names, run

_BYTES_PER_TOKEN = 3
_PER_RESULT = 20


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A turn after which a run can be taken up."""

    turn: int
    seq: int
    """The record in which the last of its calls was taken."""
    tokens: int
    """An estimate of the prompt at that point."""


def asks_model(record: Stored) -> bool:
    """Tell whether a segment begins with this record."""
    return any(_question(event) for event in record.events)


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
        self._tokens = self._turn = 0
        self._begun = False

    def over(self, event: Any) -> bool:
        """Tell whether the segment ends before this event, which asks the model anew or tells of an unknown outcome."""
        if isinstance(event, run.Took):
            return any(taken.status == "lost" and taken.call in self._open for taken in event.results)
        return bool(self._turn) and _question(event)

    def take(self, event: Any, seq: int) -> None:
        self._begun = self._begun or _question(event)
        match event:
            case run.Called() if self._begun:
                self._turn = 0 if _question(event) else event.turn
                self._tokens += _prompt(event)
                self._open |= {call.id for call in event.calls}
            case run.Steered() | run.Noted():
                self._tokens += len(event.text) // _BYTES_PER_TOKEN
            case run.Took() if self._begun:
                self._tokens = _after(self._tokens, event.results)
                self._open -= {taken.call for taken in event.results}
                if self._turn and not self._open:
                    self.found = Point(turn=self._turn, seq=seq, tokens=self._tokens)
            case _:
                pass


def _question(event: Any) -> bool:
    return isinstance(event, run.Called) and any(call.tool == names.MODEL for call in event.calls)


def _prompt(event: run.Called) -> int:
    """Return the planner's own estimate of the prompt of a question."""
    arguments = event.calls[0].arguments
    known = isinstance(arguments, dict) and event.calls[0].tool == names.MODEL
    return int(arguments.get("prompt_tokens", 0)) if known else 0


def _after(tokens: int, results: Iterable[run.Taken]) -> int:
    for taken in results:
        if taken.late:
            continue
        if taken.tool == names.MODEL and taken.input_tokens:
            tokens = taken.input_tokens + taken.output_tokens
        else:
            tokens += _PER_RESULT + taken.bytes // _BYTES_PER_TOKEN
    return tokens
