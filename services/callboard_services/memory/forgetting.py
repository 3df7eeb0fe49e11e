"""Forgetting: by id, by source, or what an agent may forget by itself. What is forgotten is gone, not hidden."""

from collections.abc import Iterable, Sequence

from callboard_contracts import memory, subjects
from callboard_contracts.errors import CallboardError
from callboard_services.memory.house import Memory
from callboard_services.memory.query import Query, Run, texts, where
from callboard_services.memory.rows import Row
from callboard_services.memory.table import Table

_MOST = 200
"""How many rows one word search of an agent looks at."""
_AGENTS: tuple[memory.Kind, ...] = ("fact", "note", "preference")
_NEEDED = ("id", "kind", "document", "run", "call", "scope", "skill", "principal", "text")


async def by_id(house: Memory, tenant: str, ids: Sequence[str], principal: str, at_ms: int) -> list[str]:
    """Forget rows and whole documents, and return the ids of what was there.

    :raises CallboardError: `unknown_memory`, or `unavailable`. :raises BusError: do it again.
    """
    table = await house.current(tenant)
    named = texts(ids)
    rows = await table.find(f"id IN ({named}) OR document IN ({named})", _NEEDED)
    known = {row["id"] for row in rows} | {row["document"] for row in rows}
    if missing := [id_ for id_ in ids if id_ not in known]:
        raise CallboardError("unknown_memory", f"nothing is remembered as {missing[0][:80]!r}")
    return await _forget(house, tenant, rows, principal, "", at_ms)


async def by_source(house: Memory, tenant: str, source: str, principal: str, at_ms: int) -> list[str]:
    """Forget everything that was taken from a source itself; what others derived from it stays, see `trace`.

    :raises CallboardError: `unknown_memory`, or `unavailable`. :raises BusError: do it again.
    """
    table = await house.current(tenant)
    rows = await table.find(f"source = {texts([source])}", _NEEDED)
    if not rows:
        raise CallboardError("unknown_memory", f"nothing was taken from {source[:200]!r}")
    return await _forget(house, tenant, rows, principal, "", at_ms)


async def by_agent(house: Memory, tenant: str, who: Run, ids: Sequence[str], about: str, at_ms: int) -> list[str]:
    """Forget what agents remembered for this run, its user or its skill: by id, or whatever holds all of some words.

    :raises CallboardError: `unknown_memory` when it sees no such row, `not_theirs`. :raises BusError: do it again.
    """
    table, seen = await house.current(tenant), where(Query(tenant, who))
    rows = await (_named(table, seen, who, ids) if ids else _about(table, seen, who, about))
    return await _forget(house, tenant, rows, who.user, who.run, at_ms)


async def _named(table: Table, seen: str, who: Run, ids: Sequence[str]) -> list[Row]:
    rows = await table.fetch(ids, seen)
    if missing := [id_ for id_ in ids if id_ not in rows]:
        raise CallboardError("unknown_memory", f"nothing is remembered as {missing[0][:80]!r}")
    if others := [id_ for id_ in ids if not _theirs(rows[id_], who)]:
        raise CallboardError("not_theirs", f"{others[0]} was not remembered for this run, its user or its skill")
    return list(rows.values())


async def _about(table: Table, seen: str, who: Run, about: str) -> list[Row]:
    words = about.casefold().split()
    found = await table.fetch([id_ for id_, _ in await table.matching(about, seen, _MOST)], seen)
    holding = [row for row in found.values() if all(word in row["text"].casefold() for word in words)]
    rows = [row for row in holding if _theirs(row, who)]
    if not rows:
        others = f"; {len(holding)} others do, which belong to somebody else" if holding else ""
        raise CallboardError("unknown_memory", f"nothing of yours has all these words: {about[:80]!r}{others}")
    return rows


def _theirs(row: Row, who: Run) -> bool:
    """Tell whether a run may forget a row: an agent wrote it, for the same run, user or skill."""
    if row["kind"] not in _AGENTS or not row["call"]:
        return False
    return (
        row["scope"] != "workspace"
        or row["run"] == who.run
        or _same(row, "principal", who.user)
        or _same(row, "skill", who.skill)
    )


def _same(row: Row, column: str, value: str) -> bool:
    """Tell whether a row names the same; a run without a skill shares none, and nobody's runs are those of nobody."""
    return bool(row[column] == value and (value or column == "principal"))


async def _forget(house: Memory, tenant: str, rows: Iterable[Row], principal: str, run: str, at_ms: int) -> list[str]:
    places = {row["document"] or row["id"]: _subject(tenant, row) for row in rows}
    for id_, place in places.items():
        said = memory.Forgotten(id=id_, run=run, principal=principal, at_ms=at_ms)
        await house.writer.forget(tenant, place, said)
    return sorted(places)


def _subject(tenant: str, row: Row) -> str:
    if row["document"]:
        return subjects.memory(tenant, "document", row["document"])
    return subjects.memory(tenant, row["kind"], *((row["run"],) if row["kind"] == "note" else ()), row["id"])
