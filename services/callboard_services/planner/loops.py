"""Going in circles: the same calls fail again and again, or two plans alternate. Seen from a bounded past, all pure.

A *step* is one turn of tools: what was called with which arguments, and what came of it. Two steps are the same when
both agree, so a tool that answers something new each time is no circle.
"""

import zlib
from collections.abc import Iterable, Sequence

import msgspec

KEPT = 12
"""How many steps are remembered."""
FAILING_TOLD = 3
FAILING_ENDS = 5
ALTERNATING_TOLD = 6
ALTERNATING_ENDS = 10
REPEATING_TOLD = 5
_LETTERS = 80


class Done(msgspec.Struct, frozen=True, array_like=True):
    """A call of the present step that has answered."""

    call: int
    """The digest of its tool and arguments."""
    tool: str
    outcome: str
    """The code of its failure, or `ok` and the size of its output."""


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A turn of tools that is over."""

    digest: int
    what: str
    """For people and the model: `files.read (not_found)`."""
    failed: bool


class Circle(msgspec.Struct, frozen=True):
    """A circle that is to be told to the model, or that ends the run."""

    reason: str
    ends: bool


def digest(tool: str, arguments: object) -> int:
    """Return what two calls of a tool with the same arguments have in common."""
    return zlib.crc32(tool.encode() + b"\0" + msgspec.json.encode(arguments, order="deterministic"))


def over(done: Iterable[Done]) -> Step:
    """Return the step that these answers make, in whatever order they came."""
    each = sorted(done, key=lambda one: (one.call, one.outcome))
    failed = all(not one.outcome.startswith("ok") for one in each)
    names = ", ".join(dict.fromkeys(f"{one.tool} ({one.outcome})" if failed else one.tool for one in each))
    return Step(zlib.crc32(msgspec.json.encode(each)), names[:_LETTERS], failed)


def circle(steps: Sequence[Step]) -> Circle | None:
    """Return the circle that the last step completes, None when it is none or was told before."""
    if not steps:
        return None
    last, same, alternating = steps[-1], _same(steps), _alternating(steps)
    if last.failed and same in (FAILING_TOLD, FAILING_ENDS):
        return Circle(f"the same call failed {same} times: {last.what}", same == FAILING_ENDS)
    if alternating in (ALTERNATING_TOLD, ALTERNATING_ENDS):
        turns = f"two plans alternated {alternating // 2} times: {steps[-2].what}, then {last.what}"
        return Circle(turns, alternating == ALTERNATING_ENDS)
    if same == REPEATING_TOLD:
        return Circle(f"the same call was made {same} times with the same result: {last.what}", ends=False)
    return None


def _same(steps: Sequence[Step]) -> int:
    """How many of the last steps are the same."""
    return next((n for n, step in enumerate(reversed(steps)) if step.digest != steps[-1].digest), len(steps))


def _alternating(steps: Sequence[Step]) -> int:
    """How many of the last steps are two different ones by turns."""
    if len(steps) < 2 or steps[-1].digest == steps[-2].digest:
        return 0
    pair = (steps[-1].digest, steps[-2].digest)
    return next((n for n, step in enumerate(reversed(steps)) if step.digest != pair[n % 2]), len(steps))
