"""What must hold of every journal, whatever was done to the system that wrote it. Read from the records alone.

The checker shares no code with the services: it folds the money by itself, and follows the fences record by record.
"""

from base64 import urlsafe_b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

import msgspec

from callboard.bus import Bus, layout, reader
from callboard_contracts import approval, guard, names, run, wire
from callboard_contracts.journal import Record
from callboard_contracts.subjects import Subject

_EVERY = "cb.*.*.*.*.*.log.>"


class Stored(msgspec.Struct, frozen=True):
    """A record where it lies."""

    seq: int
    subject: Subject
    prev: int
    body: bytes
    record: Record

    @property
    def log(self) -> str:
        """The actor's log that it belongs to: a tree's covers all its runs."""
        return self.subject.address.fence

    @property
    def run(self) -> str:
        """The run that it is about."""
        return self.subject.address.run


async def stored(bus: Bus, groups: int) -> list[Stored]:
    """Return every record of every journal, each journal's in its order."""
    found = []
    for group in range(groups):
        async for one in reader.scan(bus, layout.journal(group), _EVERY):
            subject = Subject.parse(one.stored_subject)
            found.append(Stored(one.seq, subject, one.prev, one.body, wire.decode(one.body, Record)))
    return found


async def ended(bus: Bus, groups: int) -> set[str]:
    """Return the runs that have a terminal record."""
    found = set()
    for group in range(groups):
        for kind in ("ended", "refused"):
            async for one in reader.scan(bus, layout.journal(group), f"cb.*.run.*.*.*.log.{kind}"):
                found.add(Subject.parse(one.stored_subject).address.run)
    return found


def open_trees(records: Sequence[Stored]) -> set[str]:
    """Return the trees whose bill the guard has not made yet."""
    events = [event for one in records for event in one.record.events]
    opened = {event.run for event in events if isinstance(event, guard.Opened)}
    return opened - {event.run for event in events if isinstance(event, guard.Closed)}


def violations(records: Sequence[Stored], accepted: Iterable[str]) -> list[str]:
    """Return everything that is wrong; `accepted` are the goals whose storing was acknowledged."""
    return [
        *_one_ending(records, accepted),
        *_gapless(records),
        *_everything_once(records),
        *_money(records),
        *_charged_as_taken(records),
        *_approved_before(records),
    ]


def link_of(body: bytes) -> str:
    """Return how the next record must name one: 128 bits of SHA-256 in base64url."""
    return urlsafe_b64encode(sha256(body).digest()[:16]).decode().rstrip("=")


def _one_ending(records: Sequence[Stored], accepted: Iterable[str]) -> Iterator[str]:
    """I1: no accepted goal is lost, and none ends twice; a run that began has ended."""
    endings: Counter[str] = Counter()
    begun = {one.run for one in records if one.subject.address.actor == "run"}
    for one in records:
        endings[one.run] += sum(isinstance(event, run.Ended | run.Refused) for event in one.record.events)
    for name in sorted(begun | set(accepted)):
        if endings[name] != 1:
            yield f"{name} has {endings[name]} terminal events"


def _gapless(records: Sequence[Stored]) -> Iterator[str]:
    """I6: each record was fenced on the one before it, and names its digest."""
    for log, chain in _logs(records).items():
        linked = any(one.record.link for one in chain)
        before: Stored | None = None
        for one in chain:
            if one.prev != (before.seq if before else 0):
                yield f"{log}: record {one.seq} was fenced on {one.prev}, not on {before.seq if before else 0}"
            if linked and one.record.link != (link_of(before.body) if before else ""):
                yield f"{log}: record {one.seq} does not name the digest of the one before it"
            before = one


def _logs(records: Sequence[Stored]) -> Mapping[str, list[Stored]]:
    logs: dict[str, list[Stored]] = defaultdict(list)
    for one in records:
        logs[one.log].append(one)
    return logs


def _everything_once(records: Sequence[Stored]) -> Iterator[str]:
    """I2: each input causes one record of an actor; each call is asked for, decided and taken once."""
    for log, chain in _logs(records).items():
        causes = Counter(cause for one in chain for cause in one.record.causes)
        yield from (f"{log}: {times} records of the cause {cause}" for cause, times in causes.items() if times > 1)
    asked, decided, taken = _calls(records)
    for what, found in (("asked for", asked), ("decided", decided), ("taken", taken)):
        yield from (
            f"call {call} was {what} {times} times: {_where(records, call)}"
            for call, times in found.items()
            if times > 1
        )
    yield from (f"call {call} was decided and nobody asked for it" for call in sorted(decided.keys() - asked.keys()))
    yield from (f"call {call} was taken and not decided" for call in sorted(taken.keys() - decided.keys()))


def _where(records: Sequence[Stored], call: str) -> str:
    """Return every record that decides or takes a call."""
    about = [one for one in records if call.encode() in one.body and one.subject.lane == "log"]
    return ", ".join(f"{type(event).__name__}@{one.seq}" for one in about for event in one.record.events)


def _calls(records: Sequence[Stored]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    asked: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for event in (event for one in records for event in one.record.events):
        match event:
            case run.Called():
                asked.update(call.id for call in event.calls)
            case guard.Granted():
                decided[event.call.id] += 1
            case guard.Refused() | guard.Answered():
                decided[event.call] += 1
            case run.Took():
                taken.update(one.call for one in event.results if not one.late)
            case _:
                pass
    return asked, decided, taken


def _money(records: Sequence[Stored]) -> Iterator[str]:
    """I4: no grant passes the envelope; every reservation ends once; a closed tree's bill is what was settled."""
    for log, chain in _logs(records).items():
        if chain[0].subject.address.actor == "tree":
            yield from (f"{log}: {text}" for text in Purse().follow(chain))


def _charged_as_taken(records: Sequence[Stored]) -> Iterator[str]:
    """I4: what an answer cost is charged, neither twice nor as something else. What nobody heard of is paid in full."""
    events = [event for one in records for event in one.record.events]
    charged = {call: cost for event in events if isinstance(event, guard.Settled) for call, cost, _ in event.entries}
    for one in (one for event in events if isinstance(event, run.Took) for one in event.results):
        if one.status != "lost" and not one.late and charged.get(one.call, one.cost_micro_usd) != one.cost_micro_usd:
            yield f"{one.call} cost {one.cost_micro_usd} micro-USD and was charged {charged[one.call]}"


def _approved_before(records: Sequence[Stored]) -> Iterator[str]:
    """I5: what was held for people is granted after they approved it, on those very bytes; a request ends once."""
    asked = {
        call
        for one in records
        for e in one.record.events
        if isinstance(e, guard.Held) and e.requests
        for call in e.calls
    }
    ends: dict[str, list[tuple[int, approval.Decided]]] = defaultdict(list)
    for one in records:
        ends[one.run] += [(one.seq, event) for event in one.record.events if isinstance(event, approval.Decided)]
    for call in sorted(asked):
        if len(ends[call]) != 1:
            yield f"the request {call} has {len(ends[call])} ends"
    granted = [(one.seq, e) for one in records for e in one.record.events if isinstance(e, guard.Granted)]
    for at, event in granted:
        if event.call.id in asked:
            before = [end for seq, end in ends[event.call.id] if seq < at and end.outcome == "approved"]
            if [end.digest for end in before] != [event.approved]:
                yield f"{event.call.id} was granted at {at}, and nobody had approved that"


class Purse:
    """A tree's money, folded from the guard's events."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self.reserved: dict[str, int] = {}
        self.committed = 0

    @property
    def used(self) -> int:
        """What is spent and what may be, micro-USD."""
        return self.committed + sum(self.reserved.values())

    def follow(self, chain: Sequence[Stored]) -> Iterator[str]:
        """Say what is wrong, event by event."""
        for event in (event for one in chain for event in one.record.events):
            match event:
                case guard.Opened() if not event.parent:
                    self.limit = event.limits.budget_micro_usd
                case guard.Granted():
                    yield from self._granted(event)
                case guard.Settled():
                    yield from self._settled(event)
                case guard.Closed() if "-" not in event.run:
                    yield from self._closed(event)
                case _:
                    pass

    def _granted(self, event: guard.Granted) -> Iterator[str]:
        self.reserved[event.call.id] = event.reserved_micro_usd
        if self.limit is not None and self.used > self.limit:
            yield f"{event.call.id} was granted, with {self.used} of {self.limit} micro-USD used"

    def _settled(self, event: guard.Settled) -> Iterator[str]:
        for call, cost, _ in event.entries:
            if self.reserved.pop(call, None) is None:
                yield f"{call} was settled without a reservation"
            self.committed += cost

    def _closed(self, event: guard.Closed) -> Iterator[str]:
        if event.committed_micro_usd != self.committed:
            yield f"the bill says {event.committed_micro_usd}, settled were {self.committed} micro-USD"
        if self.reserved:
            yield f"closed with reservations of {', '.join(sorted(self.reserved))}"


def executions(records: Sequence[Stored], tool: str = names.MODEL) -> list[str]:
    """Return the calls of a tool whose result counted, in the order they were taken."""
    taken = [
        one
        for stored in records
        for event in stored.record.events
        if isinstance(event, run.Took)
        for one in event.results
    ]
    return [one.call for one in taken if one.tool == tool and not one.late]
