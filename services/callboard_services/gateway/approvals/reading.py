"""A request read from its own records, in the journal or in the archive, and what its run did lately."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec

from callboard.bus import Delivery, reader
from callboard_contracts import approval, ids, run, subjects, wire
from callboard_contracts.call import Call
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Record
from callboard_services.gateway.approvals.view import View, fold
from callboard_services.gateway.archive import Replay, is_archived
from callboard_services.gateway.house import House

_MOST_STEPS = 12
_MOST_BACK = 64
"""How many records of the run are looked at."""
_BRIEF = 500


def address_of(house: House, request: str) -> subjects.Address:
    """Return the address of a request."""
    return subjects.Address.of_request(house.tenant, request)


async def view_of(house: House, request: str) -> View:
    """Return a request as it stands.

    :raises CallboardError: `unknown_approval`; `unavailable`, it is archived and the ledger does not answer.
    """
    found = fold([event async for event in _events(house, request)])
    if found is None:
        raise unknown(request)
    return found


def unknown(request: str) -> CallboardError:
    """Return the error for a request that is not there."""
    return CallboardError("unknown_approval", f"There is no request {request[:80]!r}.")


async def _events(house: House, request: str) -> AsyncIterator[approval.Event]:
    found = [one async for one in reader.scan(house.bus, house.journal_of(request), address_of(house, request).fence)]
    whole = bool(found) and found[0].prev == 0
    if not whole and await is_archived(house, ids.run_of(request)):
        found = [one async for one in _archived(house, request)]
    for one in found:
        for event in wire.decode(one.body, Record).events:
            if isinstance(event, approval.Event):
                yield event


async def _archived(house: House, request: str) -> AsyncIterator[Delivery]:
    replay = Replay(house, ids.run_of(request))
    try:
        await replay.open()
    except CallboardError as error:
        if error.code == "not_found":
            raise unknown(request) from None
        raise
    prefix = f"{address_of(house, request)}.log."
    async for record in replay.records():
        if record.stored_subject.startswith(prefix):
            yield record


async def steps(house: House, request: str) -> list[dict[str, Any]]:
    """Return the latest calls of a request's run, oldest first, as far as the journal has them."""
    name = ids.run_of(request)
    address = subjects.Address.of_run(house.tenant, name)
    newest_first: list[Record] = []
    async for found in reader.backwards(house.bus, house.journal_of(name), address.fence):
        newest_first.append(wire.decode(found.body, Record))
        if len(newest_first) == _MOST_BACK:
            break
    return steps_of((event for record in reversed(newest_first) for event in record.events), request)


def steps_of(events: Iterable[object], request: str) -> list[dict[str, Any]]:
    """Return the latest calls among a run's events, without the one that is asked about. Pure."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        match event:
            case run.Called():
                found |= {call.id: _called(call) for call in event.calls if call.id != request}
            case run.Took():
                for taken in event.results:
                    found.get(taken.call, {}).update(status=taken.status, message=taken.message[:_BRIEF])
            case _:
                pass
    return list(found.values())[-_MOST_STEPS:]


def _called(call: Call) -> dict[str, Any]:
    text = b"" if call.arguments is None else msgspec.json.encode(call.arguments)
    brief = text.decode() if len(text) <= _BRIEF else text[:_BRIEF].decode(errors="ignore") + "…"
    return {"call": call.id, "tool": call.tool, "arguments": brief, "status": "asked", "message": ""}
