"""`Idempotency-Key`: the first request with a key claims it for its run, in the broker, before anything is published.

The claim is a compare-and-set, so of two requests at once one wins and both get its run. A crash between the claim
and the goal is repaired by the retry, which publishes the same goal again under the same id. Claims last a day.
"""

from hashlib import sha256

import msgspec

from callboard.bus import Bus, Conflict, layout, reader
from callboard_contracts import wire
from callboard_contracts.errors import CallboardError

_MOST = 255


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a key stands for."""

    run: str
    digest: str
    """Of the body that it came with."""


def key_of(tenant: str, principal: str, header: str) -> str:
    """Return where the claim of an `Idempotency-Key` is kept: one client's keys say nothing to another.

    :raises CallboardError: `invalid_request`, it is empty, too long or not printable.
    """
    if not header or len(header) > _MOST or not header.isprintable():
        raise CallboardError("invalid_request", f"An Idempotency-Key has 1 to {_MOST} printable characters.")
    return sha256(f"{tenant}\0{principal}\0{header}".encode()).hexdigest()


async def look_up(bus: Bus, key: str, digest: str) -> Claim | None:
    """Return the claim of a key, None when nobody has made it.

    :raises CallboardError: `conflict`, it was made with another body. :raises NoAnswer: the broker does not answer.
    """
    found = await reader.last(bus, f"KV_{layout.IDEMPOTENCY}", _subject(key))
    if found is None:
        return None
    claim = wire.decode(found.body, Claim)
    if claim.digest != digest:
        raise CallboardError("conflict", f"The Idempotency-Key was used with another body, for the run {claim.run}.")
    return claim


async def make(bus: Bus, key: str, claim: Claim) -> Claim:
    """Claim a key, or return the claim of who was first.

    :raises CallboardError: `conflict`, who was first had another body. :raises BusError: it is not known.
    """
    try:
        await bus.publish(_subject(key), wire.encode(claim), {wire.FENCE: "0"})
    except Conflict:
        return await look_up(bus, key, claim.digest) or await make(bus, key, claim)
    return claim


def _subject(key: str) -> str:
    return f"$KV.{layout.IDEMPOTENCY}.{key}"
