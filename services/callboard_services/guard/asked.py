"""What people are asked about, as it follows from the tree's own records. Pure."""

from typing import assert_never

import msgspec

from callboard_contracts import guard
from callboard_services.guard.state import State


def after(state: State, event: guard.Postponed | guard.Answered | guard.Withdrawn | guard.Waiting) -> State:
    """Return the tree after people decided, or need not decide any more."""
    match event:
        case guard.Postponed():
            call = event.decision.call
            postponed = msgspec.structs.replace(state.asked[call], decision=event.decision)
            return msgspec.structs.replace(state, asked=state.asked | {call: postponed})
        case guard.Answered():
            return without(state, (event.call,))
        case guard.Withdrawn():
            return without(state, event.calls)
        case guard.Waiting():
            return msgspec.structs.replace(state, waits=event.nth)
        case _:
            assert_never(event)


def without(state: State, calls: tuple[str, ...]) -> State:
    """Return the tree when nobody is asked about some calls any more."""
    return msgspec.structs.replace(state, asked={call: one for call, one in state.asked.items() if call not in calls})
