"""`GET /v1/audit/{run}`: a run's whole tree as a bundle that anybody can verify without this system."""

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from functools import partial
from typing import Any

import msgspec
import structlog
from starlette.requests import Request

from callboard.audit import lines, tree
from callboard.audit.summary import effects_of, summary
from callboard.bus import BusError
from callboard.bus.objects import get_blob
from callboard_contracts import approval, call, ids, run, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.policy import digest_of
from callboard_services.gateway.audit.messages import messages
from callboard_services.gateway.bodies import query
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.questions import ask
from callboard_services.gateway.runs import check_known, run_of
from callboard_services.gateway.sse import EventStream

log = structlog.get_logger()

MEDIA = "application/x-ndjson"
_PIECE = 64 * 1024
_PATIENCE_S = 15.0
"""Signing may have to wait for the ledger to catch up."""


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of the export."""

    contents: bool = False
    """Put in the values over 32 KiB too, of which messages hold only the digest."""


async def export(request: Request) -> EventStream:
    """Export a run's tree. A bundle that ends without its seal is cut: ask again."""
    house, name, wish = house_of(request), run_of(request), query(request, Wish)
    signed = await _signed(house, name)
    pieces = _pieces(_lines(house, ids.tree_of(name), signed, contents=wish.contents), name)
    hang_up = partial(house.hang_up, request)
    return EventStream(pieces, stop=house.stop, patience_s=house.patience_s, hang_up=hang_up, media=MEDIA)


async def _signed(house: House, name: str) -> dict[str, Any]:
    """Return the signed ends of a tree.

    :raises CallboardError: `unknown_run`, `not_started`, `unavailable`.
    """
    try:
        return await ask(house, "audit", {"run": name}, timeout_s=_PATIENCE_S)
    except CallboardError as error:
        if error.code != "unknown_run":
            raise
    await check_known(house, name)
    raise CallboardError("not_started", f"Nothing is recorded of {name} yet.")


async def _pieces(found: AsyncIterator[bytes], name: str) -> AsyncGenerator[bytes, None]:
    """Yield lines, many at a time. What fails ends it without a seal, which whoever reads it finds."""
    piece = bytearray()
    try:
        async for line in found:
            piece += line
            if len(piece) >= _PIECE:
                yield bytes(piece)
                piece.clear()
    except (BusError, CallboardError) as error:
        log.warning("export ends early", run=name, reason=str(error))
    yield bytes(piece)


async def _lines(house: House, root: str, signed: dict[str, Any], *, contents: bool) -> AsyncGenerator[bytes, None]:
    writer, found = lines.Writer(), tree.Tree()
    yield writer.line(lines.Bundle(tenant=house.tenant, tree=root, stream=signed["stream"]))
    async for message in messages(house, root, signed["upto"]):
        tree.add(found, message)
        yield writer.line(lines.stored(message))
    for digest in sorted(set(_references(found))):
        yield writer.line(await _blob(house, digest, contents=contents))
    facts = list(_facts(house, found))
    for fact in facts:
        yield writer.line(fact)
    for one in signed["checkpoints"]:
        yield writer.line(lines.Signed(head=msgspec.Raw(wire.encode(one["head"])), signature=one["signature"]))
    for tail in signed["tails"]:
        yield writer.line(msgspec.convert(tail, lines.Shown))
    yield writer.line(lines.Summary(told=summary(found, effects_of(facts))))
    seal = await ask(house, "seal", {"tree": root, "chain": writer.chain})
    yield writer.line(lines.Seal(key=seal["key"], signature=seal["signature"]))


def _references(found: tree.Tree) -> Iterator[str]:
    """Yield the digest of every value that is kept elsewhere."""
    for _, called in found.events(run.Called):
        yield from (made.arguments_ref for made in called.calls if made.arguments_ref)
    yield from (one.output_ref for one in found.results.values() if isinstance(one, call.Completed) and one.output_ref)
    yield from (ended.output_ref for _, ended in found.events(run.Ended) if ended.output_ref)


async def _blob(house: House, digest: str, *, contents: bool) -> lines.Blob:
    if not contents:
        return lines.Blob(digest=digest)
    try:
        return lines.Blob(digest=digest, base64=b64encode(await get_blob(house.bus, digest)).decode())
    except CallboardError:
        return lines.Blob(digest=digest, missing=True)


def _facts(house: House, found: tree.Tree) -> Iterator[lines.Fact]:
    """Yield what the registry holds of the tools, skills and policies that records name."""
    facts = house.registry.facts
    tools = {made.tool for _, called in found.events(run.Called) for made in called.calls}
    for name in sorted(tools):
        spec = facts.spec(name)
        if spec is not None:
            yield lines.Fact(about="tool", name=name, content=msgspec.to_builtins(spec))
    skills = {accepted.skill_digest for _, accepted in found.events(run.Accepted) if accepted.skill_digest}
    for digest in sorted(skills & facts.versions.keys()):
        skill = facts.versions[digest]
        yield lines.Fact(about="skill", name=skill.name, digest=digest, content=msgspec.to_builtins(skill))
    asked = {(one.request.policy, one.request.policy_digest) for _, one in found.events(approval.Requested)}
    for place, digest in sorted(asked):
        policy = facts.policies.get(place.removeprefix("policy:"))
        if policy is not None and digest_of(policy) == digest:
            yield lines.Fact(about="policy", name=policy.name, digest=digest, content=msgspec.to_builtins(policy))
