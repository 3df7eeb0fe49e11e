"""What an onlooker knows while a simulation runs: which runs there are, what they asked for, and what is not over."""

import msgspec

from callboard_contracts import approval, guard, names, run, wire
from callboard_contracts.journal import Event, Record
from tests.simulation.streams import Stored, Stream


class Asked(msgspec.Struct, frozen=True):
    """A call of a tool that a run proposed, and the record in which it did."""

    call: str
    source: int


class Progress:
    """Follows the records as they are stored.

    :param goals: the ids of the goals, none of which has begun.
    """

    def __init__(self, goals: list[str]) -> None:
        self.runs: dict[str, list[str]] = {goal: [goal] for goal in goals}
        """The runs of each tree that are known, the root first."""
        self.asked: dict[str, list[Asked]] = {}
        self.open: dict[str, None] = dict.fromkeys(goals)
        """Runs that have not ended, trees that are opened and not closed, requests that are not decided."""

    def see(self, _: Stream, stored: Stored) -> None:
        """Take note of a message, if it is a record."""
        tokens = stored.tokens
        if len(tokens) < 8 or tokens[6] != "log":
            return
        tree, name = tokens[4], tokens[5]
        if tokens[2] == "run" and name not in self.runs[tree]:
            self.runs[tree].append(name)
            self.open[name] = None
        for event in wire.decode(stored.body, Record).events:
            self._on(event, tree, name, stored.seq)

    def _on(self, event: Event, tree: str, name: str, seq: int) -> None:
        match event:
            case run.Called():
                tools = [Asked(call.id, seq) for call in event.calls if call.tool != names.MODEL]
                self.asked.setdefault(name, []).extend(tools)
            case run.Ended() | run.Refused():
                self.open.pop(name, None)
            case guard.Opened() if event.run == tree:
                self.open[f"tree {tree}"] = None
            case guard.Closed() if event.run == tree:
                self.open.pop(f"tree {tree}", None)
            case approval.Requested():
                self.open[f"request {name}"] = None
            case approval.Decided():
                self.open.pop(f"request {name}", None)
            case _:
                pass
