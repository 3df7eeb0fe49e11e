"""How far the records of one journal go beyond its last checkpoint: the last record of each actor that moved."""

from collections.abc import Iterable

from callboard.bus import Delivery
from callboard_contracts.audit import Tail
from callboard_contracts.journal import link_of

MOST = 4000
"""Tails in one checkpoint: a message of some 400 KB."""
_CLOSED = b'"guard.closed.v1"'


class Pending:
    """What is to be signed next. A record costs some 3 µs in all; its digest is taken once, when it is signed."""

    def __init__(self, signed: int) -> None:
        self.signed = signed
        """Up to here all is in a checkpoint."""
        self.seen = signed
        """Up to here records were seen."""
        self.closed = False
        """A run of a tree is closed since: it is signed soon."""
        self._last: dict[str, tuple[int, bytes]] = {}
        """By the address that a record is about; of a tree's there is one for each run."""

    def __len__(self) -> int:
        return len(self._last)

    def see(self, batch: Iterable[Delivery]) -> None:
        """Take a batch of records, in their order; batches may come in any."""
        last, signed = self._last, self.signed
        seq = 0
        for found in batch:
            seq = found.seq
            if seq <= signed:
                continue
            where, body = found.stored_subject.partition(".log.")[0], found.body
            before = last.get(where)
            if before is None or before[0] < seq:
                last[where] = (seq, body)
            if not self.closed and _CLOSED in body:
                self.closed = True
        self.seen = max(self.seen, seq)  # of a batch the last one is the highest

    def concerns(self, tenant: str, tree: str) -> bool:
        """Tell whether an actor of a tree moved."""
        return any(where.split(".")[1:5:3] == [tenant, tree] for where in self._last)

    def next(self) -> tuple[tuple[Tail, ...], int]:
        """Return the tails to sign, in the order of their names, and up to which sequence they cover all records."""
        found = sorted((seq, actor_at(where), body) for where, (seq, body) in self._last.items())
        some = found[:MOST]
        last = some[-1][0] if len(some) < len(found) else self.seen
        latest = {actor: (seq, body) for seq, actor, body in some}
        return tuple((actor, seq, link_of(body)) for actor, (seq, body) in sorted(latest.items())), last

    def sign(self, last: int) -> None:
        """Forget what is signed."""
        self.signed = last
        self.seen = max(self.seen, last)
        self._last = {where: kept for where, kept in self._last.items() if kept[0] > last}
        self.closed = self.closed and any(_CLOSED in body for _, body in self._last.values())


def actor_at(where: str) -> str:
    """Return whose the records of an address are: `<tenant>.<run|tree|approval>.<key>`."""
    _, tenant, actor, _, tree, run = where.split(".")
    return f"{tenant}.{actor}.{tree if actor == 'tree' else run}"
