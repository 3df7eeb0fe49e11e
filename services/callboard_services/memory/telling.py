"""What a run did, told in a few lines: the text by which it is found again. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from callboard_contracts import names, run, wire

OBJECTIVE_CHARS = 600
INPUT_CHARS = 300
OUTPUT_CHARS = 700
_MOST_TOOLS = 12


class Story(msgspec.Struct, kw_only=True):
    """What is known of a tree, folded from its runs' records in stream order. `root` is the run that people started."""

    root: str
    accepted: run.Accepted | None = None
    ended: run.Ended | None = None
    tools: Counter[str] = msgspec.field(default_factory=Counter)
    """How often each tool completed, in the root and its sub-agents."""

    def take(self, name: str, events: Iterable[Any]) -> None:
        """Fold a record of a run of the tree."""
        for event in events:
            if isinstance(event, run.Took):
                self.tools.update(one.tool for one in event.results if _counts(one))
            elif name == self.root and isinstance(event, run.Accepted):
                self.accepted = event
            elif name == self.root and isinstance(event, run.Ended):
                self.ended = event

    def begun(self) -> run.Accepted:
        """Return how it began.

        :raises ValueError: it has not.
        """
        if self.accepted is None:
            raise ValueError(f"run {self.root} has not begun")
        return self.accepted

    def over(self) -> run.Ended:
        """Return how it ended.

        :raises ValueError: it has not.
        """
        if self.ended is None:
            raise ValueError(f"run {self.root} has not ended")
        return self.ended


def _counts(taken: run.Taken) -> bool:
    return taken.status == "completed" and taken.tool not in (names.MODEL, names.AGENT)


def title(accepted: run.Accepted) -> str:
    """Return what a run is called: the first line of its objective, or its skill."""
    line = accepted.goal.objective.strip().split("\n", 1)[0]
    return shortened(line or f"the skill {accepted.skill}", 120)


def text(story: Story, output: Any) -> str:
    """Return what a run was to do, what became of it, and by what means.

    :param output: what came out, read back when it was stored apart. :raises ValueError: it has not ended.
    """
    accepted, ended = story.begun(), story.over()
    goal = accepted.goal
    lines = [f"Goal: {shortened(goal.objective or f'what the skill {accepted.skill} says', OBJECTIVE_CHARS)}"]
    if goal.input is not None:
        lines.append(f"Input: {shortened(_shown(goal.input), INPUT_CHARS)}")
    if goal.labels:
        lines.append(
            f"Labels: {shortened(', '.join(f'{name} {goal.labels[name]}' for name in sorted(goal.labels)), 200)}"
        )
    lines.append(f"Outcome: {_outcome(ended)}")
    if ended.status == "completed":
        lines.append(f"Output: {shortened(_shown(output), OUTPUT_CHARS)}")
    if story.tools:
        lines.append(f"Tools: {', '.join(_times(*one) for one in story.tools.most_common(_MOST_TOOLS))}")
    return "\n".join(lines)


def _outcome(ended: run.Ended) -> str:
    why = ": ".join(part for part in (ended.code, ended.reason) if part)
    return f"{ended.status} ({shortened(why, 300)})" if why else ended.status


def _times(tool: str, count: int) -> str:
    return f"{tool} ×{count}" if count > 1 else tool


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else wire.encode(value).decode()


def shortened(text: str, most: int) -> str:
    """Return a text on one line, and no longer than so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
