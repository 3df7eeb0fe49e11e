"""Asking a service, by request and reply: the ledger, unless another is named."""

from typing import Any

import msgspec

from callboard.bus import NoAnswer
from callboard.bus.errors import NobodyListens
from callboard_contracts import subjects, wire
from callboard_contracts.errors import CATALOGUE, CallboardError
from callboard_services.gateway.house import House

_ANSWER_S = 5.0
_NOBODY = {
    "memory": "No memory answers: it starts where `pip install 'callboard[memory]'` was done. Runs go on without it."
}


async def ask(
    house: House, question: str, body: Any, *, service: str = "ledger", timeout_s: float = _ANSWER_S
) -> dict[str, Any]:
    """Return a service's answer. `body` goes as it is when it is bytes.

    :raises CallboardError: what it says is wrong, or `unavailable` when it says nothing.
    """
    subject = subjects.ask(house.tenant, service, question)
    try:
        given = body if isinstance(body, bytes) else wire.encode(body)
        reply = await house.bus.request(subject, given, timeout_s=timeout_s)
        answer: dict[str, Any] = msgspec.json.decode(reply.body)
    except NobodyListens:
        nobody = _NOBODY.get(service, f"The {service} does not answer; runs go on without it.")
        raise CallboardError("unavailable", nobody) from None
    except (NoAnswer, msgspec.DecodeError):
        raise CallboardError("unavailable", f"The {service} does not answer in time; runs go on without it.") from None
    if "error" in answer:
        code = answer["error"] if answer["error"] in CATALOGUE else "unavailable"
        raise CallboardError(code, str(answer.get("detail", "")))
    return answer
