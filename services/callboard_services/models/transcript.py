"""Reads a run back from the journal, from the record that asked for a model call to the run's first. Effects only.

A record names the one before it (`prev`) and the messages of the results it took, so a transcript is followed by
sequence and never searched for. What was read is kept: the next turn of the same run reads only what is new.
"""

import asyncio
from collections import OrderedDict

import msgspec

from callboard.bus import Bus, Delivery, layout, objects, reader
from callboard_contracts import call, ids, run, wire
from callboard_contracts.journal import Record
from callboard_services.models.history import Entry

_KEPT_RUNS = 64
_KEPT_RECORDS = 2_000


class _Link(msgspec.Struct, frozen=True):
    """A record of the run, and the sequence of the one before it."""

    prev: int
    entry: Entry


class Transcripts:
    """The transcripts of the runs that this process answers for. Can be forgotten at any time."""

    def __init__(self, bus: Bus, groups: int) -> None:
        self._bus = bus
        self._groups = groups
        self._kept: OrderedDict[str, dict[int, _Link]] = OrderedDict()

    async def read(self, run_id: str, source: int) -> tuple[Entry, ...]:
        """Return a run's records up to the one with sequence `source`, the first one first.

        :raises LookupError: the journal lacks one. :raises BusError: the broker does not answer.
        """
        stream = layout.journal_of(ids.tree_of(run_id), self._groups)
        links = self._links(run_id)
        entries: list[Entry] = []
        seq = source
        while seq:
            if seq not in links:
                links[seq] = await self._link(stream, seq)
            entries.append(links[seq].entry)
            seq = links[seq].prev
        return tuple(reversed(entries))

    def _links(self, run_id: str) -> dict[int, _Link]:
        links = self._kept.setdefault(run_id, {})
        self._kept.move_to_end(run_id)
        while len(self._kept) > _KEPT_RUNS:
            self._kept.popitem(last=False)
        if len(links) > _KEPT_RECORDS:
            links.clear()
        return links

    async def _link(self, stream: str, seq: int) -> _Link:
        message = await reader.get(self._bus, stream, seq)
        if message is None:
            raise LookupError(f"{stream} has no message {seq}")
        record = wire.decode(message.body, Record)
        events = tuple(event for event in record.events if isinstance(event, run.Event))
        return _Link(message.prev, Entry(events=events, results=await self._results(stream, events)))

    async def _results(self, stream: str, events: tuple[run.Event, ...]) -> dict[int, call.Result]:
        taken = [one.seq for event in events if isinstance(event, run.Took) for one in event.results]
        found = await asyncio.gather(*(self._result(stream, seq) for seq in dict.fromkeys(taken)))
        return {seq: result for seq, result in zip(dict.fromkeys(taken), found, strict=True) if result is not None}

    async def _result(self, stream: str, seq: int) -> call.Result | None:
        """Return the result in a message, None when the message was a timer that gave a call up."""
        message = await reader.get(self._bus, stream, seq)
        if message is None:
            raise LookupError(f"{stream} has no message {seq}")
        return await self._whole(message) if not message.stored_subject.endswith(".in.timer") else None

    async def _whole(self, message: Delivery) -> call.Result:
        result: call.Result = wire.decode(message.body, call.Result)
        if not isinstance(result, call.Completed) or not result.output_ref:
            return result
        output = msgspec.json.decode(await objects.get_blob(self._bus, result.output_ref))
        return msgspec.structs.replace(result, output=output, output_ref="")
