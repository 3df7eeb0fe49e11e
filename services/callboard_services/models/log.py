"""One run's records and results by their sequences: each is checked to be that run's before anything is made of it.

A sequence may come from a goal that anybody published (a retry), so it proves nothing. What a message is stored under
does: the broker lets only the planner publish a run's records.
"""

import asyncio

import msgspec

from callboard.bus import Bus, Delivery, layout, objects, reader
from callboard_contracts import call, model, names, run, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Record
from callboard_services.models.history import Entry, Part, Standing
from callboard_services.models.kept import Link, Page

HEAD_BYTES = 64 * 1024
"""Of an output in the blob store so much is read: four bytes for each character that a model reads at once."""
_KINDS = ("result", "child", "answer", "timer")
_AT_ONCE = 32


class _Open(msgspec.Struct):
    tool: str = ""


class _State(msgspec.Struct):
    """What a snapshot of the planner tells: the transcript begins there without the records before it."""

    asked: int = 0
    summarising: str = ""
    open: dict[str, _Open] = {}


class Log:
    """The records of one run. What was read is put into `page`; `used` says what of it was asked for.

    Every method raises LookupError for what is not there or another run's, and BusError when the broker is silent.
    """

    def __init__(self, bus: Bus, groups: int, address: subjects.Address, page: Page) -> None:
        self.address = address
        self.stream = layout.journal_of(address.tree, groups)
        self.page = page
        self.used: set[int] = set()
        self._bus = bus

    async def link(self, seq: int) -> Link:
        """Return a record."""
        self.used.add(seq)
        if seq not in self.page:
            self.page[seq] = read(await self._message(seq, "log"))
        return self.page[seq]

    async def entry(self, seq: int) -> Entry:
        """Return a record with the results it took."""
        link = await self.link(seq)
        if link.entry is None:
            every = (one for event in link.events if isinstance(event, run.Took) for one in event.results)
            taken = {one.seq: one for one in every if not one.context_tokens}  # a summary is no step
            some = asyncio.Semaphore(_AT_ONCE)
            found = await asyncio.gather(*(self._result(one, some) for one in taken.values()))
            results = {seq: result for seq, (result, _) in zip(taken, found, strict=True) if result is not None}
            link.entry = Entry(events=link.events, results=results, seq=link.seq)
            link.bytes += sum(size for _, size in found)
        return link.entry

    async def whole(self, taken: run.Taken) -> call.Result | None:
        """Return a result with all of its output, None when the message was a timer that gave the call up."""
        message = await self._message(taken.seq, "in")
        if message.stored_subject.endswith(".timer"):
            return None
        result: call.Result = wire.decode(message.body, call.Result)
        if not isinstance(result, call.Completed) or not result.output_ref:
            return result
        return await self._resolved(result)

    async def summary(self, seq: int) -> Standing:
        """Return a summary of this run's steps."""
        result: call.Result = wire.decode((await self._message(seq, "in")).body, call.Result)
        try:
            found = msgspec.convert(getattr(result, "output", None), model.Summary)
        except msgspec.ValidationError:
            raise LookupError(f"message {seq} of {self.stream} holds no summary") from None
        return Standing(seq, found)

    async def _result(self, taken: run.Taken, some: asyncio.Semaphore) -> tuple[call.Result | None, int]:
        """Return a result as a model reads it, and its size."""
        async with some:
            message = await self._message(taken.seq, "in")
            if message.stored_subject.endswith(".timer"):
                return None, 0
            result: call.Result = wire.decode(message.body, call.Result)
            if not isinstance(result, call.Completed) or not result.output_ref:
                return result, len(message.body)
            if taken.tool == names.MODEL:
                return await self._resolved(result), len(message.body)
            return await self._beginning(result), HEAD_BYTES

    async def _resolved(self, result: call.Completed) -> call.Completed:
        try:
            output = msgspec.json.decode(await objects.get_blob(self._bus, result.output_ref))
        except (CallboardError, msgspec.DecodeError):
            return result
        return msgspec.structs.replace(result, output=output, output_ref="")

    async def _beginning(self, result: call.Completed) -> call.Completed:
        try:
            head, size = await objects.get_head(self._bus, result.output_ref, HEAD_BYTES)
            output = msgspec.json.decode(head) if size <= len(head) else Part(head.decode("utf-8", "ignore"), size)
        except (CallboardError, msgspec.DecodeError):
            return result
        return msgspec.structs.replace(result, output=output, output_ref="")

    async def _message(self, seq: int, lane: subjects.Lane) -> Delivery:
        message = await reader.get(self._bus, self.stream, seq)
        if message is None:
            raise LookupError(f"{self.stream} has no message {seq}")
        ours, _, kind = message.stored_subject.partition(f"{self.address}.{lane}.")
        if ours or not kind or (lane == "in" and kind not in _KINDS):
            raise LookupError(f"message {seq} of {self.stream} is not of the run {self.address.run}")
        return message


def read(message: Delivery) -> Link:
    """Return a record from its message."""
    record = wire.decode(message.body, Record)
    state = bytes(record.state)
    return Link(
        seq=message.seq,
        prev=message.prev,
        events=tuple(event for event in record.events if isinstance(event, run.Event)),
        bytes=len(message.body) - len(state),
        genesis=record.genesis,
        answered=_answered(msgspec.json.decode(state, type=_State)) if state else None,
    )


def _answered(state: _State) -> int:
    asking = sum(one.tool == names.MODEL for call, one in state.open.items() if call != state.summarising)
    return state.asked - asking
