"""A stored message, from the journal or from the archive, with nothing in it that says how it was read. Pure."""

import msgspec

from callboard_contracts import subjects, wire


class Message(msgspec.Struct, frozen=True):
    """One message as it was stored."""

    seq: int
    time_ms: int
    """When the broker stored it, in ms since 1970."""
    subject: str
    headers: dict[str, str]
    """Those it was stored with, and the broker's time."""
    body: bytes

    @property
    def lane(self) -> str:
        """`log`, `in`, `send`; empty when its subject is of no grammar that is known."""
        tokens = self.subject.split(".", 7)
        return tokens[6] if len(tokens) == 8 else ""

    @property
    def prev(self) -> int:
        """The sequence of the actor's record before this one."""
        text = self.headers.get(wire.FENCE, "")
        return int(text) if text.isdigit() else 0


def stored(seq: int, time_ms: int, subject: str, headers: dict[str, str], body: bytes) -> Message:
    """Return a message without the headers that say how it was read, in the order of their names."""
    kept = {name: value for name, value in sorted(headers.items()) if name not in wire.READING}
    return Message(seq, time_ms, subject, kept, body)


def actor_of(subject: str) -> str:
    """Return whose record a subject names: `<tenant>.<run|tree|approval>.<key>`, as checkpoints name actors.

    :raises SubjectError: it is no journal's.
    """
    where = subjects.Subject.parse(subject).address
    return f"{where.tenant}.{where.actor}.{where.tree if where.actor == 'tree' else where.run}"
