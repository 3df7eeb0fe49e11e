"""Checks of a bundle's records: the links of each actor, and that its last one is the one that was signed. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from callboard.audit import merkle
from callboard.audit.lines import Part, Shown, Signed
from callboard.audit.message import Message
from callboard.audit.report import Report
from callboard.audit.signing import is_signed
from callboard.audit.tree import Logged, Tree
from callboard_contracts.audit import Head
from callboard_contracts.journal import link_of


def order(messages: Sequence[Message], report: Report) -> None:
    """Check that messages come in the order of their stream, each once."""
    last = 0
    for message in messages:
        if message.seq <= last:
            report.say("reordered", f"message {message.seq} comes after message {last}", seq=message.seq)
        last = max(last, message.seq)
    report.count("messages", len(messages))


def links(tree: Tree, report: Report) -> dict[str, Logged]:
    """Check each actor's records against one another, and return the last of each."""
    last: dict[str, Logged] = {}
    for logged in tree.records:
        _follows(logged, last.get(logged.actor), report)
        last[logged.actor] = logged
    report.count("records", len(tree.records))
    return last


def _follows(logged: Logged, before: Logged | None, report: Report) -> None:
    prev, link = logged.message.prev, logged.record.link
    expected = before.seq if before is not None else 0
    if prev != expected:
        missing = f"record {prev} of {logged.actor} is missing" if prev > expected else "it names an older one"
        report.say("gap", f"before record {logged.seq}: {missing}", seq=min(prev, logged.seq) or logged.seq)
    elif before is not None and link != link_of(before.message.body):
        detail = f"record {before.seq} of {logged.actor} is not the one that record {logged.seq} was written after"
        report.say("link", detail, seq=before.seq)
    elif before is None and link:
        report.say("gap", f"what came before record {logged.seq} of {logged.actor} is missing", seq=logged.seq)


def tails(parts: Sequence[Part], last: Mapping[str, Logged], report: Report) -> None:
    """Check that each actor's last record is the one that a checkpoint signed as its last."""
    heads = _heads(parts, report)
    shown = {part.actor: part for part in parts if isinstance(part, Shown)}
    for actor, logged in last.items():
        if actor not in shown:
            report.say("tail", f"no checkpoint signs how far {actor} goes", seq=logged.seq)
    for actor, part in shown.items():
        _tail(part, last.get(actor), heads.get(part.checkpoint), report)
    report.signed_ms = max((head.at_ms for head in heads.values()), default=0)
    report.count("tails", len(shown))


def _heads(parts: Sequence[Part], report: Report) -> dict[int, Head]:
    found: dict[int, Head] = {}
    for part in parts:
        if not isinstance(part, Signed):
            continue
        try:
            head = msgspec.json.decode(part.head, type=Head)
        except ValueError as error:
            report.say("checkpoint", f"a checkpoint cannot be read: {error}")
            continue
        if not is_signed(bytes(part.head), part.signature, head.key):
            report.say("unsigned", f"the signature of checkpoint {head.nth} is not that of its key")
            continue
        found[head.nth] = head
    report.count("checkpoints", len(found))
    return found


def _tail(part: Shown, logged: Logged | None, head: Head | None, report: Report) -> None:
    if head is None:
        report.say("tail", f"the checkpoint {part.checkpoint} that signs {part.actor} is missing", seq=part.seq)
        return
    try:
        climbed = merkle.climbed((part.actor, part.seq, part.link), part.path)
    except ValueError as error:
        climbed = str(error)
    if climbed != head.root:
        report.say("tail", f"checkpoint {head.nth} does not sign record {part.seq} of {part.actor}", seq=part.seq)
    elif logged is None or logged.seq < part.seq:
        has = f"end at {logged.seq}" if logged is not None else "are missing"
        first = logged.seq + 1 if logged is not None else 1
        detail = f"the records of {part.actor} {has}, and {part.seq} was signed as the last: the end is cut"
        report.say("cut", f"{detail} after {first - 1}", seq=part.seq)
    elif logged.seq > part.seq:
        report.say("tail", f"record {logged.seq} of {part.actor} was never signed", seq=logged.seq)
    elif part.link != link_of(logged.message.body):
        report.say("link", f"record {part.seq} of {part.actor} is not the one that was signed", seq=part.seq)
