"""Keeps a model's answer small: arguments and outputs that are too large for a record go to the blob store."""

from typing import Any

import msgspec

from callboard.bus import Bus, objects
from callboard_contracts import model, wire


async def checked(bus: Bus, answer: model.Answer) -> model.Answer:
    """Return the answer with what is large by reference: all its tool calls together stay within one record.

    :raises BusError: it could not be stored.
    """
    share = wire.INLINE_BYTES // max(1, len(answer.asks))
    asks = tuple([await _ask(bus, ask, share) for ask in answer.asks])
    reference = await _reference(bus, answer.output, wire.INLINE_BYTES) if answer.finished else ""
    return msgspec.structs.replace(
        answer, asks=asks, output=None if reference else answer.output, output_ref=reference, text=_text(answer.text)
    )


async def _ask(bus: Bus, ask: model.Ask, most: int) -> model.Ask:
    reference = await _reference(bus, ask.arguments, most)
    invalid = ask.invalid[:2000]
    return msgspec.structs.replace(
        ask, arguments=None if reference else ask.arguments, arguments_ref=reference, invalid=invalid
    )


async def _reference(bus: Bus, value: Any, most: int) -> str:
    """Return the digest of a value that was too large, empty for one that is not."""
    body = msgspec.json.encode(value)
    return await objects.put_blob(bus, body) if len(body) > most else ""


def _text(text: str) -> str:
    return text if len(text) <= wire.INLINE_BYTES // 2 else text[: wire.INLINE_BYTES // 2] + "…"
