"""One call: granted, with what it may cost at most held back, held until people decide, or refused. Pure."""

from callboard.actor import Input
from callboard_contracts import guard, ids
from callboard_contracts.call import Call
from callboard_contracts.errors import CallboardError
from callboard_contracts.registry import Facts
from callboard_services.guard.checks import check
from callboard_services.guard.granting import arguments_of, grant, refusal
from callboard_services.guard.holding import held, request_of
from callboard_services.guard.rules import ruled
from callboard_services.guard.state import State


def decide_call(
    state: State, call: Call, source: int, message: Input, facts: Facts
) -> guard.Granted | guard.Held | guard.Refused:
    """Decide a call that the record at `source` proposes. A hold reserves nothing."""
    known, spec = state.runs.get(ids.run_of(call.id)), facts.spec(call.tool)
    try:
        arguments = arguments_of(call, message)
        worst = check(state, known, call, arguments, facts)
        found = ruled(known, call, arguments, spec, facts) if known and spec else None
        if known and spec and found:
            return held(state, call, source, request_of(state, known, call, worst, found, spec))
    except CallboardError as error:
        return refusal(call.id, call.tool, error)
    return grant(state, call, source, message, worst)
