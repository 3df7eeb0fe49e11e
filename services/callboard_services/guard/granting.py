"""A grant and a refusal as the guard records them. Pure."""

from typing import Any

import msgspec

from callboard.actor import Input
from callboard_contracts import guard, ids
from callboard_contracts.call import Call
from callboard_contracts.errors import CallboardError
from callboard_services.guard.checks import Worst
from callboard_services.guard.state import State


def grant(state: State, call: Call, source: int, message: Input, worst: Worst) -> guard.Granted:
    """Grant a call that the record at `source` proposes. It is valid from the time of `message`."""
    known = state.runs.get(ids.run_of(call.id))
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


def refusal(call: str, tool: str, error: CallboardError) -> guard.Refused:
    """Refuse a call with the reason."""
    return guard.Refused(call=call, tool=tool, code=error.code, message=f"{error.entry.title}: {error}")


def arguments_of(call: Call, message: Input) -> Any:
    """Return a call's arguments, wherever they are kept."""
    return msgspec.json.decode(message.blobs[call.arguments_ref]) if call.arguments_ref else call.arguments
