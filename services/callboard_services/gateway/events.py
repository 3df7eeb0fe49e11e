"""`GET /v1/runs/{run}/events`: the run's records as they happen, resumed exactly by `Last-Event-ID`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from callboard.bus import BusError, Delivery, reader
from callboard_contracts import ids, subjects
from callboard_contracts.errors import CallboardError
from callboard_services.gateway import render
from callboard_services.gateway.archive import Replay, is_archived
from callboard_services.gateway.bodies import query
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.runs import check_known, run_of
from callboard_services.gateway.sse import EventStream
from callboard_services.gateway.tail import Tail

log = structlog.get_logger()

_LAST = ("ended", "refused")
_FIRST = b"retry: 1000\n\n"
_HEARTBEAT = b": still here\n\n"


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of the stream."""

    after: int = 0
    """Only what was recorded after this sequence; the header `Last-Event-ID` wins."""
    stream: str = ""
    """`tokens`: what models write, while they write it."""


async def stream(request: Request) -> Response | EventStream:
    """Follow a run and its sub-agents until its own end."""
    house, run, wish = house_of(request), run_of(request), query(request, Wish)
    if wish.stream not in ("", "tokens"):
        raise CallboardError("invalid_request", f"stream={wish.stream[:40]!r} is not `tokens`.")
    after = _resumed(request, wish.after)
    await check_known(house, run)
    if await _is_over(house, run, after):
        return Response(status_code=204)  # a browser's EventSource then stops asking
    if await is_archived(house, run):
        replay = Replay(house, run)
        await replay.open(after)
        pieces = _retold(house, run, replay)
    else:
        pieces = _pieces(house, run, after, tokens=wish.stream == "tokens")
    return EventStream(pieces, stop=house.stop, patience_s=house.patience_s, hang_up=partial(house.hang_up, request))


def _resumed(request: Request, after: int) -> int:
    """Return the sequence after which the client wants to hear.

    :raises CallboardError: `invalid_request`, it is no sequence.
    """
    last = request.headers.get("last-event-id", "") or str(after)
    if not last.isascii() or not last.isdigit() or len(last) > 18:
        raise CallboardError("invalid_request", f"{last[:40]!r} is not the id of an event.")
    return int(last)


async def _is_over(house: House, run: str, after: int) -> bool:
    """Tell whether the client has seen the run's last event."""
    if not after:
        return False
    address = subjects.Address.of_run(house.tenant, run)
    for kind in _LAST:
        found = await reader.last(house.bus, house.journal_of(run), str(address.at("log", kind)))
        if found is not None:
            return found.seq <= after
    return False


async def _pieces(house: House, run: str, after: int, *, tokens: bool) -> AsyncGenerator[bytes, None]:
    """Yield the stream. It ends early when the broker fails; the client resumes where it was."""
    tail = Tail(
        house.bus, house.journal_of(run), house.tenant, ids.tree_of(run), chunks=tokens, heartbeat_s=house.heartbeat_s
    )
    yield _FIRST
    try:
        async with tail, aclosing(tail.follow(after)) as found:
            async for event in found:
                yield await _piece(house, run, event)
                if event is not None and event.seq and _ends(event, run):
                    return
    except BusError as error:
        log.warning("stream ends early", run=run, reason=str(error))


async def _retold(house: House, run: str, replay: Replay) -> AsyncGenerator[bytes, None]:
    """Yield the events of an archived run. It ends early when the ledger fails; the client resumes where it was."""
    yield _FIRST
    try:
        async with aclosing(replay.records()) as records:
            async for record in records:
                if _concerns(_address(record).run, run):
                    yield await render.record(house, record, replay.get)
                if _ends(record, run):
                    return
    except CallboardError as error:
        log.warning("stream ends early", run=run, reason=str(error))


async def _piece(house: House, run: str, event: Delivery | None) -> bytes:
    """Return what is sent of an event: nothing when it concerns another branch of the tree."""
    if event is None:
        return _HEARTBEAT
    if event.seq:
        return await render.record(house, event) if _concerns(_address(event).run, run) else b""
    return render.chunk(event) if _concerns(subjects.Live.parse(event.subject).run, run) else b""


def _concerns(about: str, run: str) -> bool:
    return about == run or about.startswith(f"{run}-")


def _address(found: Delivery) -> subjects.Address:
    return subjects.Subject.parse(found.stored_subject).address


def _ends(found: Delivery, run: str) -> bool:
    where = subjects.Subject.parse(found.stored_subject)
    return where.address.actor == "run" and where.address.run == run and where.kind in _LAST
