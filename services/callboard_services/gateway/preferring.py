"""What a user prefers, pinned in his goals: only here is known who acts, and a run reads for ever what it began with.

Where no memory is installed or runs it costs nothing; where one does not answer at once, the goal goes on without it.
"""

import msgspec
import structlog

from callboard_contracts.errors import CallboardError
from callboard_contracts.goal import Submit
from callboard_services.gateway.house import House
from callboard_services.gateway.questions import ask

log = structlog.get_logger()

_TOOL = "memory.recall"
"""Registered wherever there is a memory."""
_PATIENCE_S = 1.0
"""A memory is ready only when it answers, in some ten milliseconds; one that hangs holds up a goal for no longer."""


async def preferring(house: House, submit: Submit) -> Submit:
    """Return a goal with the preferences of the one who acts."""
    entry = house.registry.facts.tools.get(_TOOL)
    if entry is None or not entry.instances or not submit.principal:
        return submit
    wanted = {"principal": submit.principal, "workspace": submit.labels.get("workspace", "")}
    try:
        found = await ask(house, "preferences", wanted, service="memory", timeout_s=_PATIENCE_S)
    except CallboardError as error:
        log.warning("a goal goes on without its user's preferences", run=submit.id, reason=error.detail)
        return submit
    return msgspec.structs.replace(submit, preferences=tuple(found["lines"]))
