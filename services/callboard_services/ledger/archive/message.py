"""A message as it was stored, and what of a tree may leave the journal once it is in a file."""

import msgspec

from callboard.bus import Delivery
from callboard_contracts import wire

_OVER = frozenset({"run.ended.v1", "run.refused.v1"})
_CLOSED = "guard.closed.v1"


class Message(msgspec.Struct, frozen=True):
    """One stored message, whatever it says."""

    stream: str
    seq: int
    time_ms: int
    subject: str
    headers: dict[str, str]
    body: bytes

    @property
    def tokens(self) -> list[str]:
        """Its subject's `cb`, tenant, actor, partition, tree, run, lane and kind; what is missing is empty."""
        found = self.subject.split(".", 7)
        return found + [""] * (8 - len(found))


class _Event(msgspec.Struct):
    type: str = ""
    run: str = ""


class _Record(msgspec.Struct):
    events: tuple[_Event, ...] = ()


_record = msgspec.json.Decoder(_Record)


def stored(found: Delivery) -> Message:
    """Return a message that was read from a stream."""
    kept = {name: value for name, value in found.headers.items() if name not in wire.READING}
    return Message(found.stream, found.seq, found.time_ms, found.stored_subject, kept, found.body)


def whole_tree(subject: str) -> str:
    """Return what the subjects of a message's tree begin with."""
    _, tenant, _, partition, tree, *_ = subject.split(".")
    return f"cb.{tenant}.*.{partition}.{tree}"


def group_of(subject: str) -> str:
    """Return the group of subjects with which a message leaves: an actor's records, or its tree's other messages."""
    _, tenant, actor, partition, tree, run, lane = subject.split(".", 7)[:7]
    if lane != "log":
        return f"{whole_tree(subject)}.*.{lane}.>"
    return f"cb.{tenant}.{actor}.{partition}.{tree}.{'*' if actor == 'tree' else run}.log.>"


class Group(msgspec.Struct):
    """A group of subjects of a tree: all inputs, all commands, or the records of one actor."""

    actor: str
    """Empty for inputs and commands."""
    first: int
    last: int
    over: int = 0
    """The sequence of the record with which the actor ended."""


class Leaving:
    """Which messages of a tree may go, each group of subjects up to a sequence.

    Of every actor's records the one that ended it stays, with whatever followed: from it alone a planner, a guard or a
    gateway can tell that it is over, and the fence at 0 stays refused. Inputs and commands go.
    """

    def __init__(self) -> None:
        self.last_seq = 0
        self._tree = ""
        self._groups: dict[str, Group] = {}

    def see(self, message: Message) -> None:
        """Take note of a message; they come in the order of their stream."""
        self.last_seq = max(self.last_seq, message.seq)
        self._tree = whole_tree(message.subject)
        _, _, actor, _, tree, _, lane, _ = message.tokens
        if lane not in ("in", "log", "send"):
            return  # of no grammar that we know
        records = lane == "log"
        new = Group(actor if records else "", message.seq, message.seq)
        group = self._groups.setdefault(group_of(message.subject), new)
        group.last = message.seq
        if records and not group.over and _is_over(message.body, tree):
            group.over = message.seq

    @property
    def is_over(self) -> bool:
        """Whether every run has ended, and the tree is closed."""
        found = [group for group in self._groups.values() if group.actor in ("run", "tree")]
        return bool(found) and all(group.over for group in found)

    def purges(self) -> dict[str, int]:
        """Return each group of subjects with the sequence before which its messages may go, in the order to purge them.

        The whole tree comes first, up to where anything has to stay: of most trees that is all there is to purge.
        """
        whole = min(group.over or group.last for group in self._groups.values() if group.actor)
        found = {f"{self._tree}.>": whole}
        for name, group in self._groups.items():
            stays = (group.over or group.last) if group.actor else group.last + 1
            if stays > group.first:
                found[name] = stays
        return found


def _is_over(body: bytes, tree: str) -> bool:
    try:
        events = _record.decode(body).events
    except msgspec.MsgspecError:
        return False
    return any(event.type in _OVER or (event.type == _CLOSED and event.run == tree) for event in events)
