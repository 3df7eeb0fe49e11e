"""The questions of an audit: `audit`, `seal`, `key` and `trees`."""

import asyncio
from typing import Any

from callboard.bus import BusError
from callboard_contracts import wire
from callboard_contracts.errors import CallboardError
from callboard_services.ledger.audit import periods, proofs
from callboard_services.ledger.audit.auditor import Auditor
from callboard_services.ledger.store import Store


async def answer(auditor: Auditor, store: Store, tenant: str, kind: str, body: bytes) -> dict[str, Any]:
    """Return the answer.

    :raises CallboardError: there is none. :raises MsgspecError: the question cannot be read.
    """
    try:
        return await _answer(auditor, store, tenant, kind, body)
    except BusError as error:
        raise CallboardError("unavailable", f"the broker does not answer: {error}") from None


async def _answer(auditor: Auditor, store: Store, tenant: str, kind: str, body: bytes) -> dict[str, Any]:
    match kind:
        case "audit":
            return await proofs.audit(auditor, tenant, wire.decode(body, proofs.Audit))
        case "seal":
            return await proofs.seal(auditor, tenant, wire.decode(body, proofs.Sealing))
        case "key":
            return await proofs.key(auditor)
        case _:
            wanted = wire.decode(body, periods.Trees)
            if not wanted.before:
                await proofs.caught_up(auditor, tenant)
            return {"trees": await asyncio.to_thread(periods.trees, store, tenant, wanted)}
