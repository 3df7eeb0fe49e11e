"""What was done in a run, as a list that stays short: a fold of its records. Pure.

Calls of one tool with one outcome are one entry. Arguments that differ in one number only, and follow each other, are
one item (`page=1…40`), so that work through a long list takes a line. Nothing here was written by a model.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from callboard_contracts import wire
from callboard_contracts.model import Did
from callboard_services.models.history import Outcome
from callboard_services.models.steps import Again, Person, Said, Step

ARGUMENT_CHARS = 160
"""The most of one call's arguments."""
SAID_CHARS = 8000
"""The most of what persons said, all together."""
EARLIER = "earlier ones"
"""The item that stands for those that are gone."""
UNKNOWN = "no_result"
_NUMBERS = re.compile(r"(\d+(?:…\d+)?)")


def extended(did: Iterable[Did], steps: Iterable[Step], most_bytes: int) -> tuple[Did, ...]:
    """Return the list with what was done in further steps, in at most so many bytes as long as tools allow."""
    found = {(one.tool, one.outcome): one for one in did}
    for tool, outcome, arguments in _calls(steps):
        before = found.get((tool, outcome), Did(tool=tool, outcome=outcome, count=0))
        items = _joined(before.arguments, arguments)
        found[tool, outcome] = msgspec.structs.replace(before, count=before.count + 1, arguments=items)
    return _bounded(list(found.values()), most_bytes)


def heard(said: Iterable[str], steps: Iterable[Step]) -> tuple[str, ...]:
    """Return what persons said, further steps included: the latest, as far as there is room."""
    every = [*said, *(step.text for step in steps if isinstance(step, Person))]
    kept: list[str] = []
    for text in reversed(every):
        if sum(map(len, kept)) + len(text) > SAID_CHARS and kept:
            break
        kept.append(text[:SAID_CHARS])
    return tuple(reversed(kept))


def lines(did: Iterable[Did]) -> Iterator[str]:
    """Yield the list for a model."""
    for one in did:
        what = f"{one.tool}, {one.outcome or 'completed'}" + (f", {one.count} calls" if one.count > 1 else "")
        yield f"- {what}: {'; '.join(one.arguments)}"


def _calls(steps: Iterable[Step]) -> Iterator[tuple[str, str, str]]:
    """Yield tool, outcome and arguments of every call that was made."""
    for step in steps:
        if isinstance(step, Said):
            calls = step.calls or ("",) * len(step.answer.asks)
            outcomes = step.outcomes or (None,) * len(calls)
            for ask, call_id, outcome in zip(step.answer.asks, calls, outcomes, strict=True):
                if call_id:
                    yield ask.tool, _code(outcome), brief(ask.arguments_ref or ask.arguments)
        elif isinstance(step, Again):
            yield step.call.tool, _code(step.outcome), brief(step.call.arguments_ref or step.call.arguments)


def _code(outcome: Outcome | None) -> str:
    if outcome is None:
        return UNKNOWN
    taken = outcome.taken
    return "" if taken.status == "completed" else taken.code or taken.status


def brief(arguments: Any) -> str:
    """Return arguments in one short line."""
    if isinstance(arguments, dict):
        text = ", ".join(f"{name}={_json(value)}" for name, value in arguments.items())
    else:
        text = _json(arguments)
    line = " ".join(text.split()) or "no arguments"
    return line if len(line) <= ARGUMENT_CHARS else f"{line[: ARGUMENT_CHARS - 1]}…"


def _json(value: Any) -> str:
    return wire.encode(value).decode()


def _joined(items: tuple[str, ...], item: str) -> tuple[str, ...]:
    """Add one call's arguments to those of others, into the last range where they go on with it."""
    if not items:
        return (item,)
    if item in items[-64:]:  # the same call once more
        return items
    longer = _range(items[-1], item)
    return (*items[:-1], longer) if longer else (*items, item)


def _range(last: str, item: str) -> str:
    """Return both as one range when they differ in one number that follows the other's, else nothing."""
    old, new = _NUMBERS.split(last), _NUMBERS.split(item)
    differ = [at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b]
    if len(old) != len(new) or len(differ) != 1 or differ[0] % 2 == 0:
        return ""
    at = differ[0]
    first, _, end = old[at].partition("…")
    follows = "…" not in new[at] and len(new[at]) < 16 and int(new[at]) == int(end or first) + 1
    old[at] = f"{first}…{new[at]}"
    return "".join(old) if follows else ""


def _bounded(did: list[Did], most_bytes: int) -> tuple[Did, ...]:
    """Drop the oldest items of whatever is longest until the list fits, but never an entry's last one."""
    size = len(wire.encode(did))
    while size > most_bytes:
        longest = max(range(len(did)), key=lambda at: sum(map(len, did[at].arguments[:-1])))
        items = did[longest].arguments
        if len(items) < 3:
            break
        rest = items[max(2, len(items) // 8) :]
        did[longest] = msgspec.structs.replace(did[longest], arguments=(EARLIER, *rest))
        size = len(wire.encode(did))
    return tuple(did)
