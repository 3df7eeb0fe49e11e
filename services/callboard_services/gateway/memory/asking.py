"""Asking the memory service, in the name of the one who acts: his own rows and everybody's, never another user's."""

from typing import Any

import msgspec
from starlette.requests import Request

from callboard_services.gateway.house import house_of, principal_of
from callboard_services.gateway.questions import ask

SERVICE = "memory"
_PATIENCE_S = 40.0
"""Longer than a memory waits itself until its tables are open: it says more about why they are not."""


async def ask_memory(
    request: Request, question: str, body: Any = None, *, timeout_s: float = _PATIENCE_S
) -> dict[str, Any]:
    """Return the memory's answer to who sent a request.

    :raises CallboardError: what it says is wrong, or `unavailable` when it says nothing.
    """
    given = msgspec.structs.asdict(body) if isinstance(body, msgspec.Struct) else dict(body or {})
    wanted = given | {"principal": principal_of(request)}
    return await ask(house_of(request), question, wanted, service=SERVICE, timeout_s=timeout_s)
