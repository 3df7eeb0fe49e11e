"""Trees in memory, and the bundles that a ledger would sign of them."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callboard.audit import lines, merkle, tree
from callboard.audit.message import Message, actor_of
from callboard.audit.signing import Signer
from callboard.audit.summary import effects_of, summary
from callboard.testing.records import Costs, Play
from callboard_contracts import ids, wire
from callboard_contracts.audit import Head, Tail
from callboard_contracts.journal import link_of

NOW_MS = 1_767_225_600_000
RUN = ids.ulid(NOW_MS, b"audit bund")
TOOL = lines.Fact(about="tool", name="files.read", content={"name": "files.read", "effect": "read"})
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))


class Memory:
    """A journal in memory: what a `Sink` is given, with the sequences of a stream."""

    def __init__(self, first: int = 100) -> None:
        self.messages: list[Message] = []
        self._next = first

    async def put(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        """Store a message. Other trees write in between, so sequences have gaps."""
        seq, self._next = self._next, self._next + 3
        self.messages.append(Message(seq, NOW_MS + seq, subject, headers, body))
        return seq


async def written(rounds: int = 2) -> list[Message]:
    """Return a tree of one run that ended and is settled."""
    memory = Memory()
    await Play(memory).write(RUN, rounds=rounds, costs=Costs(model=120, tool=3))
    return memory.messages


def ends(messages: Sequence[Message]) -> tuple[Tail, ...]:
    """Return the last record of each actor, by name."""
    found = {actor_of(one.subject): (one.seq, link_of(one.body)) for one in messages if one.lane == "log"}
    return tuple((actor, *found[actor]) for actor in sorted(found))


def proofs(
    tails: tuple[Tail, ...], signer: Signer = SIGNER, signed: tuple[Tail, ...] | None = None
) -> list[lines.Part]:
    """Return a checkpoint of these tails, or of those that were `signed`, and the way from each to its root."""
    head = Head(
        stream="JOURNAL-0",
        created="2026-01-01T00:00:00Z",
        nth=7,
        last=max(seq for _, seq, _ in tails),
        tails=len(tails),
        root=merkle.root(signed or tails),
        prev="",
        at_ms=NOW_MS,
        key=signer.public,
    )
    text = wire.encode(head)
    parts: list[lines.Part] = [lines.Signed(head=msgspec.Raw(text), signature=signer.sign(text))]
    for place, (actor, seq, link) in enumerate(tails):
        path = merkle.path(tails, place)
        parts.append(lines.Shown(actor=actor, seq=seq, link=link, checkpoint=7, path=path))
    return parts


def bundle(
    messages: Sequence[Message],
    *,
    tails: tuple[Tail, ...] | None = None,
    signed: tuple[Tail, ...] | None = None,
    more: Sequence[lines.Part] = (),
    signer: Signer = SIGNER,
    checkpointer: Signer | None = None,
    told: Any = None,
) -> bytes:
    """Return the bundle of a tree. By default everything in it is right."""
    _, tenant, _, _, root, *_ = messages[0].subject.split(".")
    writer = lines.Writer()
    facts: list[lines.Part] = [TOOL]
    told = told or summary(tree.read(messages), effects_of(facts))
    parts: list[lines.Part] = [lines.Bundle(tenant=tenant, tree=root, stream="JOURNAL-0")]
    parts += [lines.stored(message) for message in messages]
    parts += [*more, *facts, *proofs(tails or ends(messages), checkpointer or signer, signed), lines.Summary(told=told)]
    text = b"".join(writer.line(part) for part in parts)
    seal = signer.sign(lines.statement(tenant, root, writer.chain))
    return text + writer.line(lines.Seal(key=signer.public, signature=seal))


def rewritten(data: bytes) -> bytes:
    """Return a bundle with its chain computed again, as somebody does who has everything but the key."""
    chain, found = "", []
    for text in data.splitlines():
        rest = text[55:]
        chain = lines.chained(chain, rest)
        found.append(b'{"chain":"' + chain.encode() + b'",' + rest + b"\n")
    return b"".join(found)


def blob(content: bytes, digest: str) -> lines.Blob:
    """Return a content under a digest."""
    return lines.Blob(digest=digest, base64=b64encode(content).decode())
