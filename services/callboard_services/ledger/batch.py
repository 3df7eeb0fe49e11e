"""A batch of deliveries as rows. What cannot be read goes to the dead letters and stops nobody."""

from collections.abc import Iterable, Mapping

import structlog

from callboard.bus import Bus, Delivery
from callboard_contracts import dead, subjects, wire
from callboard_contracts.journal import Record
from callboard_services.ledger.fold import fold
from callboard_services.ledger.tables import At, Rows

log = structlog.get_logger()

_SERVICE = "ledger"


def folded(bus: Bus, batch: Iterable[Delivery], archived: Mapping[tuple[str, str], int]) -> Rows:
    """Return what a batch of records changes. What is archived, each tree up to a sequence, is folded from there."""
    rows = Rows()
    for delivery in batch:
        try:
            where = subjects.Subject.parse(delivery.stored_subject).address
            if archived and delivery.seq <= archived.get((where.tenant, where.tree), 0):
                continue
            at = At(where.tenant, where.run, delivery.seq, delivery.time_ms)
            fold(rows, at, wire.decode(delivery.body, Record))
        except ValueError as error:
            _set_aside(bus, delivery, str(error))
    return rows


def _set_aside(bus: Bus, delivery: Delivery, reason: str) -> None:
    log.warning("record not readable", stream=delivery.stream, seq=delivery.seq, reason=reason)
    letter = dead.Letter(
        service=_SERVICE,
        subject=delivery.stored_subject,
        code="undecodable",
        reason=reason,
        stream=delivery.stream,
        seq=delivery.seq,
        id=delivery.id,
    )
    tenant = delivery.stored_subject.split(".")[1]
    bus.send(subjects.dead(tenant, _SERVICE), wire.encode(letter), {wire.TYPE: wire.type_of(dead.Letter)})
