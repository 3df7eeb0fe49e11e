"""Where something went: what was derived from a source, and who read any of it. And a source taken out of sight."""

import hashlib

import msgspec

from callboard_contracts import memory, subjects
from callboard_contracts.errors import CallboardError
from callboard_services.memory.house import Memory
from callboard_services.memory.query import texts
from callboard_services.memory.rows import Row
from callboard_services.memory.table import Table

MOST = 10_000
"""How many rows and reads a trace lists at most."""
_BRIEF = 200


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A row that comes from a source, directly or not."""

    id: str
    kind: memory.Kind
    source: str
    direct: bool
    """It was taken from the source itself."""
    text: str
    """Its first 200 characters."""
    run: str
    skill: str
    principal: str
    at_ms: int


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was shown something of a source."""

    run: str
    call: str
    skill: str
    principal: str
    rows: tuple[str, ...]
    """All that it was shown, of this source and of others."""
    at_ms: int


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a source. `runs` are those that read any of it, each once."""

    source: str
    quarantined: bool
    rows: list[Derived]
    reads: list[Reader]
    runs: list[str]


async def trace(house: Memory, tenant: str, source: str) -> Trace:
    """Return every row that was derived from a source, and everyone who was shown one.

    :raises CallboardError: `unknown_memory`, no row and no reader ever named it. :raises BusError: no answer.
    """
    rows, reads = await house.reading(tenant, lambda table: _found(table, source), reads=True)
    hidden = source in house.hidden(tenant)
    if not (rows or reads or hidden):
        raise CallboardError("unknown_memory", f"nothing was ever taken from {source[:200]!r}")
    readers = sorted((_reader(read) for read in reads), key=lambda one: (one.at_ms, one.call))
    return Trace(
        source=source,
        quarantined=hidden,
        rows=sorted((_derived(row, source) for row in rows), key=lambda one: (one.at_ms, one.id)),
        reads=readers,
        runs=list(dict.fromkeys(reader.run for reader in readers)),
    )


async def _found(table: Table, source: str) -> tuple[list[Row], list[Row]]:
    from_it = f"array_has_any(sources, [{texts([source])}])"
    columns = ("id", "kind", "source", "text", "run", "skill", "principal", "at_ms")
    rows = await table.find(from_it, columns, MOST)
    return rows, await table.reads.query().where(from_it).limit(MOST).to_list()


def _derived(row: Row, source: str) -> Derived:
    return Derived(**(row | {"text": row["text"][:_BRIEF], "direct": row["source"] == source}))


def _reader(read: Row) -> Reader:
    return Reader(**{name: read[name] for name in Reader.__struct_fields__} | {"rows": tuple(read["rows"])})


async def quarantine(house: Memory, tenant: str, source: str, reason: str, principal: str, at_ms: int) -> Trace:
    """Hide what comes from a source from every recall, and return whom it had reached. It need not be known yet.

    :raises BusError: it is not known to be stored: do it again.
    """
    said = memory.Quarantined(source=source, reason=reason, principal=principal, at_ms=at_ms)
    await house.writer.publish(_subject(tenant, source), said)
    return await trace(house, tenant, source)


async def release(house: Memory, tenant: str, source: str, principal: str, at_ms: int) -> None:
    """Show what comes from a source again.

    :raises CallboardError: `unknown_memory`, it is not in quarantine. :raises BusError: do it again.
    """
    await house.current(tenant)
    if source not in house.hidden(tenant):
        raise CallboardError("unknown_memory", f"{source[:200]!r} is not in quarantine")
    said = memory.Released(source=source, principal=principal, at_ms=at_ms)
    await house.writer.publish(_subject(tenant, source), said)
    await house.current(tenant)


def _subject(tenant: str, source: str) -> str:
    return subjects.memory(tenant, "quarantine", hashlib.sha256(source.encode()).hexdigest()[:32])
