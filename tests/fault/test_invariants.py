"""The checker itself: a sound journal has no violation, and every kind of damage is one."""

from collections.abc import Callable

import msgspec
import pytest

from callboard.testing.records import Costs, Play
from callboard_contracts import guard, ids, run, wire
from callboard_contracts.journal import Record
from callboard_contracts.subjects import Subject
from tests.fault.invariants import Stored, link_of, violations

pytestmark = pytest.mark.anyio
ROOT = ids.ulid(1_767_225_600_000, b"0123456789")
Damage = Callable[[list[Stored]], list[Stored]]


class Shelf:
    """Keeps what would be stored."""

    def __init__(self) -> None:
        self.records: list[Stored] = []
        self._seq = 0

    async def put(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        self._seq += 1
        where = Subject.parse(subject)
        if where.lane == "log":
            prev = int(headers[wire.FENCE])
            self.records.append(Stored(self._seq, where, prev, body, wire.decode(body, Record)))
        return self._seq


async def sound() -> list[Stored]:
    shelf = Shelf()
    await Play(shelf).write(ROOT, rounds=2, costs=Costs(model=100, tool=7))
    return shelf.records


def with_events(one: Stored, *events: object) -> Stored:
    return msgspec.structs.replace(one, record=msgspec.structs.replace(one.record, events=events))


def find(records: list[Stored], type_: type) -> int:
    return next(n for n, one in enumerate(records) if any(isinstance(event, type_) for event in one.record.events))


def without(records: list[Stored], type_: type) -> list[Stored]:
    at = find(records, type_)
    return records[:at] + records[at + 1 :]


def doubled(records: list[Stored], type_: type) -> list[Stored]:
    at = find(records, type_)
    again = msgspec.structs.replace(records[at], seq=10_000, prev=records[-1].seq)
    return [*records, again]


def too_dear(records: list[Stored]) -> list[Stored]:
    at = find(records, guard.Granted)
    dear = [
        msgspec.structs.replace(event, reserved_micro_usd=2_000_000) if isinstance(event, guard.Granted) else event
        for event in records[at].record.events
    ]
    return [*records[:at], with_events(records[at], *dear), *records[at + 1 :]]


def wrong_bill(records: list[Stored]) -> list[Stored]:
    return [*records[:-1], with_events(records[-1], guard.Closed(run=ROOT, committed_micro_usd=1))]


def overcharged(records: list[Stored]) -> list[Stored]:
    at = find(records, guard.Settled)
    twice = [
        guard.Settled(entries=tuple((call, 2 * cost, tokens) for call, cost, tokens in event.entries))
        if isinstance(event, guard.Settled)
        else event
        for event in records[at].record.events
    ]
    return [*records[:at], with_events(records[at], *twice), *records[at + 1 :]]


def misfenced(records: list[Stored]) -> list[Stored]:
    return [*records[:-1], msgspec.structs.replace(records[-1], prev=1)]


async def test_a_sound_journal_has_no_violation() -> None:
    assert violations(await sound(), [ROOT]) == []


async def test_an_accepted_goal_that_left_no_trace_is_a_violation() -> None:
    other = ids.ulid(1_767_225_600_001, b"0123456789")
    assert violations(await sound(), [ROOT, other]) == [f"{other} has 0 terminal events"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda found: without(found, run.Ended), "0 terminal events"),
        (lambda found: doubled(found, run.Ended), "2 terminal events"),
        (lambda found: doubled(found, run.Took), "was taken 2 times"),
        (lambda found: doubled(found, guard.Granted), "was decided 2 times"),
        (lambda found: doubled(found, run.Called), "was asked for 2 times"),
        (lambda found: without(found, guard.Granted), "was taken and not decided"),
        (lambda found: without(found, run.Called), "nobody asked for it"),
        (lambda found: without(found, guard.Settled), "with reservations of"),
        (lambda found: doubled(found, guard.Settled), "settled without a reservation"),
        (misfenced, "was fenced on 1, not on"),
        (too_dear, "of 1000000 micro-USD used"),
        (wrong_bill, "the bill says 1, settled were"),
        (overcharged, "micro-USD and was charged 200"),
    ],
)
async def test_damage_is_a_violation(damage: Damage, told: str) -> None:
    assert [text for text in violations(damage(await sound()), [ROOT]) if told in text]


async def test_a_record_that_was_changed_breaks_the_chain() -> None:
    records = await sound()
    chain = [n for n, one in enumerate(records) if one.log == records[0].log]
    for before, at in zip([None, *chain], chain, strict=False):
        link = "" if before is None else link_of(records[before].body)
        records[at] = msgspec.structs.replace(
            records[at], record=msgspec.structs.replace(records[at].record, link=link)
        )
    assert violations(records, [ROOT]) == []
    records[chain[2]] = msgspec.structs.replace(records[chain[2]], body=b"{}")
    assert [text for text in violations(records, [ROOT]) if "does not name the digest" in text]
