"""One call: granted, with what it may cost at most held back, or refused with the reason. Pure."""

from typing import Any

import msgspec

from callboard.actor import Input
from callboard_contracts import guard, ids
from callboard_contracts.call import Call
from callboard_contracts.errors import CallboardError
from callboard_contracts.registry import Facts
from callboard_services.guard.checks import check
from callboard_services.guard.state import State


def decide_call(state: State, call: Call, source: int, message: Input, facts: Facts) -> guard.Granted | guard.Refused:
    """Decide a call that the record at `source` proposes. The grant is valid from the time of `message`."""
    known = state.runs.get(ids.run_of(call.id))
    try:
        worst = check(state, known, call, _arguments(call, message), facts)
    except CallboardError as error:
        return guard.Refused(call=call.id, tool=call.tool, code=error.code, message=f"{error.entry.title}: {error}")
    return guard.Granted(
        call=call,
        source=source,
        expires_ms=message.time_ms + int(call.timeout_s * 1000),
        reserved_micro_usd=worst.micro_usd,
        reserved_tokens=worst.tokens,
        unpriced=worst.unpriced,
        skill_digest=known.skill_digest if known else "",
        depth=ids.depth_of(ids.run_of(call.id)),
        traceparent=state.traceparent,
    )


def _arguments(call: Call, message: Input) -> Any:
    return msgspec.json.decode(message.blobs[call.arguments_ref]) if call.arguments_ref else call.arguments
