"""What could not be handled is copied to its tenant's dead letters with the reason, and only then let go."""

import base64

from callboard.bus import Bus, Delivery
from callboard_contracts import subjects, wire
from callboard_contracts.dead import Letter

_REASON_CHARS = 1000


async def bury(bus: Bus, service: str, delivery: Delivery, code: str, reason: str, cause: str = "") -> None:
    """Store a message among the dead letters. Nothing of it is lost.

    :raises BusError: it could not be stored; it must be delivered again.
    """
    tenant = delivery.stored_subject.split(".")[1]
    headers = {wire.ID: f"dead:{delivery.stream}@{delivery.seq}", wire.TYPE: wire.type_of(Letter)}
    letter = _letter(service, delivery, code, reason, cause)
    await bus.publish(subjects.dead(tenant, service), wire.encode(letter), headers)


def _letter(service: str, delivery: Delivery, code: str, reason: str, cause: str) -> Letter:
    try:
        body, binary = delivery.body.decode(), False
    except UnicodeDecodeError:
        body, binary = base64.b64encode(delivery.body).decode(), True
    return Letter(
        service=service,
        subject=delivery.stored_subject,
        code=code,
        reason=reason[:_REASON_CHARS],
        stream=delivery.stream,
        seq=delivery.seq,
        id=cause or delivery.id,
        body=body,
        base64=binary,
    )
