"""Answers for an audit: the signed end of every actor of a tree, and the seal under a bundle."""

from typing import Any

import msgspec

from callboard.audit import lines, merkle
from callboard.bus import Bus, layout, reader
from callboard_contracts import ids, subjects, wire
from callboard_contracts.audit import Checkpoint
from callboard_contracts.errors import CallboardError
from callboard_services.ledger.audit.auditor import Auditor

_PATIENCE_S = 2.0


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The question `audit`: how far are the records of a run's tree signed? They are signed now where they are not."""

    run: str


class Sealing(msgspec.Struct, frozen=True, kw_only=True):
    """The question `seal`: sign the digest of a bundle's lines."""

    tree: str
    chain: str


async def audit(auditor: Auditor, tenant: str, asked: Audit) -> dict[str, Any]:
    """Return the signed ends of a tree, and up to which sequence of its journal they are that.

    :raises CallboardError: `unavailable`, `unknown_run`. :raises BusError: the broker does not answer.
    """
    tree, followers, bus = ids.tree_of(asked.run), auditor.followers, auditor.bus
    stream = layout.journal_of(tree, len(followers))
    journal = auditor.journals[stream]
    index = await auditor.index()
    newest = await reader.last(bus, stream, subjects.records_of_tree(tenant, tree))
    if newest is not None and not await followers[stream].reached(newest.seq, _PATIENCE_S):
        raise CallboardError("unavailable", "the ledger is behind")
    if journal.pending.concerns(tenant, tree):
        await auditor.sign(journal)
        index = await auditor.index()
    tails = index.of_tree(tenant, tree)
    if not tails:
        raise CallboardError("unknown_run", f"run {asked.run!r}")
    return {"stream": stream} | await _shown(bus, tails)


async def caught_up(auditor: Auditor, tenant: str) -> None:
    """Wait until the tables hold what is recorded of a tenant now.

    :raises CallboardError: `unavailable`, that takes long. :raises BusError: the broker does not answer.
    """
    for stream, follower in auditor.followers.items():
        newest = await reader.last(auditor.bus, stream, f"cb.{tenant}.*.*.*.*.log.>")
        if newest is not None and not await follower.reached(newest.seq, _PATIENCE_S):
            raise CallboardError("unavailable", "the ledger is behind")


async def _shown(bus: Bus, tails: list[tuple[str, int, str, int]]) -> dict[str, Any]:
    signed = {at: await _checkpoint(bus, at) for at in sorted({at for *_, at in tails})}
    places = {at: {tail[0]: place for place, tail in enumerate(one.tails)} for at, one in signed.items()}
    return {
        "upto": max(one.head.last for one in signed.values()),  # what any ledger signed, not only this one
        "checkpoints": [{"head": one.head, "signature": one.signature} for one in signed.values()],
        "tails": [
            {
                "actor": actor,
                "seq": seq,
                "link": link,
                "checkpoint": signed[at].head.nth,
                "path": merkle.path(signed[at].tails, places[at][actor]),
            }
            for actor, seq, link, at in tails
        ],
    }


async def _checkpoint(bus: Bus, at: int) -> Checkpoint:
    found = await reader.get(bus, layout.AUDIT, at)
    if found is None:
        raise CallboardError("unavailable", f"checkpoint {at} is missing")
    return wire.decode(found.body, Checkpoint)


async def seal(auditor: Auditor, tenant: str, asked: Sealing) -> dict[str, Any]:
    """Return the signature under the digest of a bundle: that these are the lines that were handed out.

    :raises CallboardError: `unavailable`.
    """
    signer = await auditor.key()
    return {"key": signer.public, "signature": signer.sign(lines.statement(tenant, asked.tree, asked.chain))}


async def key(auditor: Auditor) -> dict[str, Any]:
    """Return the public key.

    :raises CallboardError: `unavailable`.
    """
    return {"key": (await auditor.key()).public, "algorithm": "Ed25519"}
