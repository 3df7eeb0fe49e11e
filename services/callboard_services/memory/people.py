"""What one person may see and do. Never another user's rows, and never what a run of another noted for itself.

A run sees what its user, its skill and its workspace share; a person sees all workspaces and all skills, for he may
start runs in each. Whom a source reached he sees as well, without the words of what is not his.
"""

import time
from typing import Any

import msgspec

from callboard import when
from callboard_contracts import memory
from callboard_contracts.errors import CallboardError
from callboard_services.memory import forgetting, tracing
from callboard_services.memory.house import Memory
from callboard_services.memory.person import NEEDED, sees
from callboard_services.memory.query import Query, Run, texts
from callboard_services.memory.recall import hit, recall
from callboard_services.memory.rows import Row
from callboard_services.memory.table import Table

Found = dict[str, Any]
_MOST = 500
"""How many chunks one answer shows."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody looks for."""

    principal: str
    q: str
    kind: memory.Kind | None = None
    since: str = ""
    until: str = ""
    tag: str = ""
    source: str = ""
    skill: str = ""
    workspace: str = memory.WORKSPACE
    limit: int = 10


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A row or a document by its id, or a source by its name."""

    principal: str
    id: str = ""
    source: str = ""
    reason: str = ""


async def search(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `person-search`: as a run of that person would find it."""
    asked = msgspec.json.decode(body, type=Search)
    since_ms, until_ms = when.period(asked.since, asked.until, _now_ms())
    query = Query(
        tenant,
        Run(asked.workspace, "", asked.principal, asked.skill),
        asked.q,
        kinds=(asked.kind,) if asked.kind else (),
        tags=(asked.tag,) if asked.tag else (),
        source=asked.source,
        since_ms=since_ms,
        until_ms=until_ms,
        limit=asked.limit,
    )
    return {"rows": await recall(house, query)}


async def show(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `person-show`: a row, or every chunk of a document."""
    asked = msgspec.json.decode(body, type=Named)
    return await house.reading(tenant, lambda table: _shown(table, asked))


async def _shown(table: Table, asked: Named) -> Found:
    """Return the rows that a name stands for, so many of a long document as one answer holds."""
    seen = sorted(await _seen(table, asked), key=lambda row: (row["document"], row["n"], row["id"]))
    rows = await table.fetch([row["id"] for row in seen[:_MOST]])
    return {"rows": [_whole(rows[row["id"]]) for row in seen[:_MOST]], "more": len(seen) > _MOST}


async def forget(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `person-forget`: a row, a document, or all of a source that the person may see."""
    asked = msgspec.json.decode(body, type=Named)
    rows = await house.reading(tenant, lambda table: _seen(table, asked))
    ids = sorted({row["document"] or row["id"] for row in rows})
    gone = await forgetting.by_id(house, tenant, ids, asked.principal, _now_ms())
    return {"forgotten": gone, "rows": len(rows)}


async def trace(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `person-trace`."""
    asked = msgspec.json.decode(body, type=Named)
    return await _traced(house, tenant, asked, await tracing.trace(house, tenant, asked.source))


async def quarantine(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `person-quarantine`."""
    asked = msgspec.json.decode(body, type=Named)
    found = await tracing.quarantine(house, tenant, asked.source, asked.reason, asked.principal, _now_ms())
    return await _traced(house, tenant, asked, found)


async def _traced(house: Memory, tenant: str, asked: Named, found: tracing.Trace) -> Found:
    """Return a trace without the words of rows that are another's."""
    from_it = f"array_has_any(sources, [{texts([asked.source])}])"
    known = await house.reading(tenant, lambda table: table.find(from_it, NEEDED))
    mine = {row["id"] for row in known if sees(asked.principal, row)}
    told: Found = msgspec.to_builtins(found)
    for row in told["rows"]:
        row["text"] = row["text"] if row["id"] in mine else ""
    return told


async def _seen(table: Table, asked: Named) -> list[Row]:
    """Return the rows that a name stands for, those that the person may see.

    :raises CallboardError: `unknown_memory`, there is none.
    """
    name = texts([asked.source or asked.id])
    filters = f"source = {name}" if asked.source else f"id = {name} OR document = {name}"
    rows = [row for row in await table.find(filters, NEEDED) if sees(asked.principal, row)]
    if not rows:
        raise CallboardError("unknown_memory", f"nothing is remembered as {(asked.source or asked.id)[:200]!r}")
    return rows


def _whole(row: Row) -> Found:
    kept = ("owner", "workspace", "call", "embedder", "document")
    shown: Found = msgspec.to_builtins(hit(row))
    return shown | {name: row[name] for name in kept}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
