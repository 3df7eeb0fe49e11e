"""Where the simulation looks into the processes: crash points, the states that workers hold, the errors they log."""

import logging
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import structlog

from callboard import crash
from callboard.bus import puller
from callboard.runtime import Held, journal, ownership
from callboard.runtime.states import States
from tests.simulation.history import ACTORS
from tests.simulation.invariants import Remembered
from tests.simulation.plan import Plan

_LOOK_ROUND_S = 5.0
_PULL_S = 15.0
"""Seldom: what idle processes say to the broker would be half of all that happens."""


@contextmanager
def watched(
    point: Callable[[str], None], hold: Callable[[Remembered], None], problem: Callable[[str], None], plan: Plan
) -> Iterator[None]:
    """Let processes die at crash points, and see what workers hold and which errors are logged with a traceback."""
    keep: Callable[..., None] = States.keep

    def kept(states: States[Any], key: str, held: Held[Any]) -> None:
        (kind,) = (kind for kind, actor in ACTORS.items() if isinstance(held.state, type(actor.initial())))
        hold(Remembered(kind, key.split(".", 1)[1], held.seq, held.state))
        keep(states, key, held)

    with ExitStack() as stack:
        stack.enter_context(_heard(problem))
        stack.enter_context(patch.object(crash, "point", point))
        stack.enter_context(patch.object(States, "keep", kept))
        stack.enter_context(patch.object(journal, "SNAPSHOT_EVERY", plan.snapshot_every))
        stack.enter_context(patch.object(ownership, "_LOOK_S", _LOOK_ROUND_S))
        stack.enter_context(patch.object(puller, "_EXPIRES_S", _PULL_S))
        yield


@contextmanager
def _heard(problem: Callable[[str], None]) -> Iterator[None]:
    def hear(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
        if event.get("exc_info"):
            problem(f"I0 {event['event']}: {sys.exc_info()[1]!r}")
        raise structlog.DropEvent

    saved = structlog.get_config()
    structlog.configure(processors=[hear], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**saved)
