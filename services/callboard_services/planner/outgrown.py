"""Whether a run has outgrown its model's window, so that its older steps are to be summed up. Pure.

A run that fits pays nothing for this. Where summing up fails, the run goes on as it is: then the oldest results give
way to a line each, and it is tried again some answers later.
"""

from collections.abc import Iterable

import msgspec

from callboard_contracts import model, run
from callboard_contracts.registry import Facts
from callboard_services.planner.state import State

FILLED = 0.7
"""How much of what the prompt may have is in use when a summary is asked for."""
LEAST_WINDOW = 8192
"""A model that reads less has no room for notes beside its work: there the oldest results give way as they do."""
APART = 2
"""How many answers lie between two summaries, and before the first."""
AFTER_FAILURE = 10
"""How many answers pass until it is tried again."""
_MOST_OUTPUT = 4096


def outgrown(state: State, facts: Facts) -> bool:
    """Tell whether the next prompt is so long that the steps before it should be summed up first."""
    window, earliest = window_of(state, facts), 0 if state.begun.goal.retry else APART
    if window < LEAST_WINDOW or state.asked < max(earliest, state.summarise_from):
        return False
    return state.context_tokens > FILLED * (window - most_output(window))


def window_of(state: State, facts: Facts) -> int:
    """Return how many tokens the run's model reads."""
    found = facts.model(state.begun.model)
    return (found.context_tokens if found else 0) or model.DEFAULT_WINDOW


def most_output(window: int) -> int:
    """Return how many tokens an answer may have: a quarter of a small model's window."""
    return min(_MOST_OUTPUT, window // 4)


def summed_up(state: State, results: Iterable[run.Taken]) -> State:
    """Return the run after results among which may be the answer to its wish to be summed up."""
    taken = next((one for one in results if one.call == state.summarising and not one.late), None)
    if taken is None or not state.summarising:
        return state
    if taken.status == "completed":
        return msgspec.structs.replace(state, summarising="", summary=taken.seq, summarise_from=state.asked + APART)
    wait = 0 if taken.code == "paused" else AFTER_FAILURE
    return msgspec.structs.replace(state, summarising="", summarise_from=state.asked + wait)
