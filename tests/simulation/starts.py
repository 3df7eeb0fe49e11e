"""When goals are taken: never later than they may wait, never refused before that, whatever a process's clock says."""

from collections.abc import Iterator

import msgspec

from callboard_contracts import run, wire
from callboard_contracts.goal import Submit
from callboard_contracts.journal import Record
from tests.simulation.streams import Stored, Stream

_ERROR_S = 10.0
"""How wrong a process may be about the broker's time, which it asks over a slow network."""


class _Published(msgspec.Struct):
    """A goal that waits, and when it was published first and last, in seconds since 1970."""

    goal: Submit
    first_s: float
    last_s: float


class Starts:
    """Follows what is stored: when a goal was published, and when its run's first record says that it was taken."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Published] = {}
        self._wrong: list[str] = []

    def see(self, _: Stream, stored: Stored) -> None:
        """Take note of a message, if it is a goal or the first record of one."""
        now_s = stored.time_ns / 1e9
        if stored.tokens[2] == "goal":
            goal = wire.decode(stored.body, Submit)
            self._waiting.setdefault(goal.id, _Published(goal, now_s, now_s)).last_s = now_s
        elif stored.tokens[2] == "run" and stored.tokens[6] == "log" and stored.tokens[5] in self._waiting:
            published = self._waiting.pop(stored.tokens[5])
            self._wrong += self._begun(published, wire.decode(stored.body, Record).events[0], now_s)

    def _begun(self, published: _Published, first: object, now_s: float) -> Iterator[str]:
        goal, waited_s = published.goal, now_s - published.first_s
        most = goal.limits.start_timeout_s
        if isinstance(first, run.Accepted):
            taken_s = first.deadline_ms / 1000 - goal.limits.timeout_s
            if not published.first_s - 0.01 <= taken_s <= now_s + _ERROR_S:
                yield f"I8 {goal.id} was taken {now_s - taken_s:.1f} s later than its run says"
            if most is not None and taken_s - published.last_s > most + 0.01:
                yield f"I8 {goal.id} was taken after {waited_s:.1f} s, and was not to wait over {most:g} s"
        elif isinstance(first, run.Refused) and first.code == "start_timeout" and waited_s < (most or 0) - _ERROR_S:
            yield f"I8 {goal.id} was refused after {waited_s:.1f} s, and may wait {most:g} s"

    def violations(self) -> Iterator[str]:
        """Yield what was not as it must be."""
        yield from self._wrong
