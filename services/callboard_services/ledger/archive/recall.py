"""Answers what the archive holds of a tree, a page at a time: the question `archived`."""

from pathlib import Path

import msgspec

from callboard_contracts import ids
from callboard_services.ledger.archive import index, reading
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

MOST = 1000
"""Messages in one answer."""
_ROOM = 16 * 1024
"""What an answer takes beside its messages."""


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """The question `archived`: everything that was stored of a run's tree, in the order of its stream."""

    run: str
    after: int = 0
    """Only messages with a higher sequence: that of the last one of the page before."""
    limit: int = MOST


def recall(store: Store, folder: Path, tenant: str, question: Archived, max_payload: int) -> Row:
    """Return a page of a tree, no larger than the broker takes. Blocks.

    A message that does not fit by itself comes without its body, and says so.

    :raises OSError: its file cannot be read. :raises ValueError: it is damaged.
    """
    found = index.find(store, tenant, ids.tree_of(question.run))
    if found is None:
        return {"error": "not_found", "detail": f"run {question.run[:80]!r} is not in the archive"}
    file, where = found
    most = max(1, min(question.limit, MOST))
    room = max_payload - _ROOM
    page, more = reading.page(folder / file, where, question.after, most=most, most_bytes=room)
    return {
        "stream": where.stream,
        "messages": [
            {
                "seq": message.seq,
                "time_ms": message.time_ms,
                "subject": message.subject,
                "headers": message.headers,
                **({"body": message.body} if reading.cost(message) <= room else {"body": b"", "cut": True}),
            }
            for message in page
        ],
        "more": more,
    }
