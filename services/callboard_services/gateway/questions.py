"""Asking the ledger, by request and reply."""

from typing import Any

import msgspec

from callboard.bus import NoAnswer
from callboard_contracts import subjects, wire
from callboard_contracts.errors import CATALOGUE, CallboardError
from callboard_services.gateway.house import House


async def ask(house: House, question: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the ledger's answer.

    :raises CallboardError: what it says is wrong, or `unavailable` when it says nothing.
    """
    try:
        reply = await house.bus.request(subjects.ask(house.tenant, "ledger", question), wire.encode(body))
        answer: dict[str, Any] = msgspec.json.decode(reply.body)
    except (NoAnswer, msgspec.DecodeError):
        raise CallboardError("unavailable", "The ledger does not answer; runs go on without it.") from None
    if "error" in answer:
        code = answer["error"] if answer["error"] in CATALOGUE else "unavailable"
        raise CallboardError(code, str(answer.get("detail", "")))
    return answer
