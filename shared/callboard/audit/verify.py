"""Verifies a bundle: offline, with nothing but the file and, to be sure of who signed, a key.

What is checked: every byte of the file (the chain of its lines and the seal), the order of messages, each actor's chain
of records, that each ends where the ledger signed that it ends, that nothing ran without its grant or its approval,
that the bill is the sum, that what is told for people follows from the messages, and the digests of contents.
"""

import re
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from callboard.audit import chains, grants, tree
from callboard.audit.lines import (
    FORMAT,
    Blob,
    Bundle,
    Fact,
    Part,
    Seal,
    Signed,
    Stored,
    Summary,
    chained,
    read,
    statement,
)
from callboard.audit.message import Message
from callboard.audit.report import Report
from callboard.audit.signing import is_signed
from callboard.audit.summary import effects_of, summary
from callboard_contracts import subjects, wire
from callboard_contracts.audit import Head
from callboard_contracts.errors import CallboardError

_SEQ: Final = re.compile(rb'"kind":"message","seq":([0-9]{1,18}),')


def verify(data: bytes, keys: Sequence[str] = ()) -> Report:
    """Return what is wrong with a bundle. `keys`: public keys that the reader trusts, in hex; none: any key is told.

    :raises CallboardError: `invalid_bundle`, it is something else; `unavailable`, signatures cannot be checked here.
    """
    report = Report()
    if not data.startswith(b'{"chain":"'):
        raise CallboardError("invalid_bundle", "it does not begin as a bundle does")
    parts, chain = _read(data, report)
    first = parts[0] if parts else None
    if not isinstance(first, Bundle) or first.format != FORMAT:
        report.say("changed", "the first line is not that of a bundle", line=1)
        return report
    report.tenant, report.tree = first.tenant, first.tree
    _sealed(parts, chain, report)
    _signers(parts, keys, report)
    _content(first, parts, report)
    return report


def _read(data: bytes, report: Report) -> tuple[list[Part], str]:
    """Return what the lines say, and the digest before the last one."""
    parts, before, chain, last = list[Part](), "", "", 0
    texts = data.split(b"\n")
    if texts.pop():
        report.say(
            "cut", f"the last line has no end; the last message before it is {_last(texts)}", line=len(texts) + 1
        )
    for number, text in enumerate(texts, 1):
        seq = int(found[1]) if (found := _SEQ.search(text[:200])) else 0
        before = chain
        try:
            line = read(number, text)
            if line.chain != chained(chain, line.rest):
                where = f"message {seq}" if seq else f"line {number}, after message {last},"
                report.say("changed", f"{where} is not what was exported there", seq=seq or last, line=number)
            chain = line.chain
            parts.append(line.part())
        except (ValueError, RecursionError) as error:
            report.say(
                "changed", f"line {number}, after message {last}, cannot be read: {error}", seq=seq or last, line=number
            )
        last = seq or last
    return parts, before


def _last(texts: Sequence[bytes]) -> int:
    return next((int(found[1]) for text in reversed(texts) if (found := _SEQ.search(text[:200]))), 0)


def _sealed(parts: list[Part], chain: str, report: Report) -> None:
    """Check that the bundle ends with its seal, that it has one, and that the seal signs all before it."""
    seals = [part for part in parts if isinstance(part, Seal)]
    last = max((part.seq for part in parts if isinstance(part, Stored)), default=0)
    if not seals or not isinstance(parts[-1], Seal):
        report.say("cut", f"its seal is missing: the end is cut after message {last}", seq=last)
        return
    if len(seals) > 1:
        report.say("changed", "it has more than one seal")
    seal = seals[-1]
    if not is_signed(statement(report.tenant, report.tree, chain), seal.signature, seal.key):
        report.say("unsigned", "the signature of the seal is not that of its key")
        return
    report.key = seal.key


def _signers(parts: Sequence[Part], keys: Sequence[str], report: Report) -> None:
    """Check that whoever signed is among those whom the reader trusts."""
    if not keys:
        return
    signers = {report.key} | {_key(part) for part in parts if isinstance(part, Signed)}
    report.known_key = signers <= set(keys)
    for other in sorted(signers - set(keys) - {""}):
        report.say("unknown_key", f"the key {other} signed, which is not one that was given")


def _key(part: Signed) -> str:
    try:
        return msgspec.json.decode(part.head, type=Head).key
    except ValueError:
        return ""


def _content(first: Bundle, parts: list[Part], report: Report) -> None:
    messages = _messages(first, parts, report)
    chains.order(messages, report)
    found = tree.read(messages)
    for seq, why in found.unreadable:
        if any(message.seq == seq and message.lane == "log" for message in messages):
            report.say("undecodable", f"record {seq} cannot be read: {why}", seq=seq)
    chains.tails(parts, chains.links(found, report), report)
    grants.taken(found, {message.seq for message in messages}, report)
    grants.granted(found, report)
    grants.approved(found, report)
    grants.billed(found, report)
    _digests(parts, report)
    _told(parts, summary(found, effects_of(parts)), report)


def _messages(first: Bundle, parts: Sequence[Part], report: Report) -> list[Message]:
    found: list[Message] = []
    for part in parts:
        if not isinstance(part, Stored):
            continue
        try:
            message = part.message()
            where = subjects.Subject.parse(message.subject).address
        except ValueError as error:
            report.say("undecodable", f"message {part.seq} cannot be read: {error}", seq=part.seq)
            continue
        if (where.tenant, where.tree) != (first.tenant, first.tree):
            report.say("foreign", f"message {part.seq} is not of this tree", seq=part.seq)
        found.append(message)
    return found


def _digests(parts: Sequence[Part], report: Report) -> None:
    """Check that contents have the digests by which they are named."""
    for part in parts:
        match part:
            case Blob() if part.base64 and _sha256_of(part.base64) != part.digest:
                report.say("blob", f"the content of {part.digest} is another's")
            case Fact() if part.about == "skill" and part.digest != sha256(wire.encode(part.content)).hexdigest():
                report.say("skill", f"the skill {part.name} is not the version {part.digest}")
            case Blob():
                report.count("blobs", 1)
            case _:
                pass


def _sha256_of(text: str) -> str:
    try:
        return sha256(b64decode(text, validate=True)).hexdigest()
    except ValueError:
        return ""


def _told(parts: Sequence[Part], expected: object, report: Report) -> None:
    told = [part.told for part in parts if isinstance(part, Summary)]
    if len(told) != 1 or wire.encode(told[0]) != wire.encode(expected):
        report.say("summary", "what it tells for people does not follow from its messages")
        return
    report.summary = expected
