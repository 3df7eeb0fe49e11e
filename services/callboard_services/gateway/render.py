"""Records as events for people: the same bytes whenever they are asked for, so that a resumed stream is the same."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from callboard.bus import Delivery, reader
from callboard_contracts import call, live, subjects, wire
from callboard_services.gateway.house import House

OUTPUT_BYTES = 4096
"""Of a result's output, as JSON; the whole is in the journal."""
_TOOK = "run.took.v1"


Get = Callable[[int], Awaitable[Delivery | None]]
"""What gives the message of a sequence, in a record's own stream."""


class _Tag(msgspec.Struct):
    type: str = ""


class _Record(msgspec.Struct):
    events: tuple[msgspec.Raw, ...] = ()


_tag = msgspec.json.Decoder(_Tag)
_record = msgspec.json.Decoder(_Record)
_result = msgspec.json.Decoder(call.Result)


async def record(house: House, found: Delivery, get: Get | None = None) -> bytes:
    """Return a stored record as one event. `get` says where the results are that it took; without it in the journal.

    :raises NoAnswer: a result that it took cannot be read.
    """
    where = subjects.Subject.parse(found.stored_subject)
    data = {
        "seq": found.seq,
        "subject": found.stored_subject,
        "tree": where.address.tree,
        "run": where.address.run,
        "actor": where.address.actor,
        "time": found.headers.get("Nats-Time-Stamp", ""),
        "events": await _events(found, get or _journal(house, found)),
    }
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (found.seq, where.kind.encode(), wire.encode(data))


def chunk(found: Delivery) -> bytes:
    """Return tokens or progress as an event without an id: it is not stored and cannot be asked for again."""
    try:
        said = wire.decode(found.body, live.Chunk | live.Progress)
    except msgspec.MsgspecError:
        return b""
    kind = b"chunk" if isinstance(said, live.Chunk) else b"progress"
    run = subjects.Live.parse(found.subject).run
    return b"event: %s\ndata: %s\n\n" % (kind, wire.encode(msgspec.to_builtins(said) | {"run": run}))


def _journal(house: House, found: Delivery) -> Get:
    stream = house.journal_of(subjects.Subject.parse(found.stored_subject).address.run)
    return lambda seq: reader.get(house.bus, stream, seq)


async def _events(found: Delivery, get: Get) -> list[Any]:
    try:
        events = _record.decode(found.body).events
        return [await _event(event, get) for event in events]
    except msgspec.MsgspecError:
        return [{"type": "undecodable"}]


async def _event(event: msgspec.Raw, get: Get) -> Any:
    if _tag.decode(event).type != _TOOK:
        return event
    took = msgspec.json.decode(event)
    outputs = await asyncio.gather(*(_output(get, taken) for taken in took["results"]))
    return took | {"results": [taken | output for taken, output in zip(took["results"], outputs, strict=True)]}


async def _output(get: Get, taken: dict[str, Any]) -> dict[str, Any]:
    """Return what a result brought, as far as it is small."""
    stored = await get(int(taken["seq"]))
    try:
        result = _result.decode(stored.body) if stored is not None else None
    except msgspec.MsgspecError:  # what ended the call was no result, such as a timer
        return {}
    if not isinstance(result, call.Completed):
        return {}
    if result.output_ref:
        return {"output_ref": result.output_ref}
    output = wire.encode(result.output)
    if len(output) <= OUTPUT_BYTES:
        return {"output": msgspec.Raw(output)}
    return {"output_head": output[:OUTPUT_BYTES].decode(errors="ignore"), "output_bytes": len(output)}
