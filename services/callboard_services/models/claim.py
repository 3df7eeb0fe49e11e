"""Keeps a model's answer small enough for the message that carries it: what is large goes to the blob store.

The planner reads an answer out of the result itself, so the answer as a whole must never go to the blob store.
"""

from typing import Any

import msgspec

from callboard.bus import Bus, objects
from callboard_contracts import model, wire

_VALUE_BYTES = wire.INLINE_BYTES * 3 // 4
"""The most of an output, or of all arguments together."""
_TEXT_BYTES = wire.INLINE_BYTES // 8
_POINTERS = 16
_POINTER_BYTES = 100
_NAME_BYTES = 80
_MOST_ASKS = 160
"""More than the planner makes of one answer."""
_ASK_BYTES = 130
"""What an ask takes beside its arguments."""


async def checked(bus: Bus, answer: model.Answer) -> model.Answer:
    """Return the answer with what is large by reference: all of it together stays within one message.

    :raises BusError: it could not be stored.
    """
    asked = answer.asks[:_MOST_ASKS]
    share = _VALUE_BYTES // max(1, len(asked)) - _ASK_BYTES
    asks = tuple([await _ask(bus, ask, share) for ask in asked])
    reference = await _reference(bus, answer.output, _VALUE_BYTES) if answer.finished else ""
    return msgspec.structs.replace(
        answer,
        asks=asks,
        output=None if reference else answer.output,
        output_ref=reference,
        text=_cut(answer.text, _TEXT_BYTES),
        give_up=_cut(answer.give_up, _TEXT_BYTES),
        ungrounded=tuple(_cut(pointer, _POINTER_BYTES) for pointer in answer.ungrounded[:_POINTERS]),
    )


async def _ask(bus: Bus, ask: model.Ask, most: int) -> model.Ask:
    reference = await _reference(bus, ask.arguments, most)
    return msgspec.structs.replace(
        ask,
        tool=_cut(ask.tool, _NAME_BYTES),
        arguments=None if reference else ask.arguments,
        arguments_ref=reference,
        invalid=_cut(ask.invalid, min(2000, most)),
    )


async def _reference(bus: Bus, value: Any, most: int) -> str:
    """Return the digest of a value that was too large, empty for one that is not."""
    body = msgspec.json.encode(value)
    return await objects.put_blob(bus, body) if len(body) > most else ""


def _cut(text: str, most: int) -> str:
    """Return a text whose JSON has about so many bytes at most."""
    if len(wire.encode(text)) <= most:
        return text
    cut = text.encode("utf-8", "replace")[: most // 2].decode("utf-8", "ignore")
    while len(wire.encode(cut)) > most:
        cut = cut[: len(cut) // 2]
    return cut + "…"
