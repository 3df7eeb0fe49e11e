"""What can be asked of memory by people, through the gateway: each question with the body it takes."""

import hashlib
import time
from typing import Any

import msgspec

from callboard_contracts import memory
from callboard_contracts.errors import CallboardError
from callboard_services.memory import forgetting, rebuilding, tracing
from callboard_services.memory.asked import Named, Recall, Remember
from callboard_services.memory.house import Memory
from callboard_services.memory.query import Query, Whole, texts
from callboard_services.memory.recall import Hit, hit
from callboard_services.memory.recall import recall as find

_MOST_TEXT = 20_000
_SOURCES = 1000
Found = dict[str, Any]


async def recall_(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `recall`."""
    asked = msgspec.json.decode(body or b"{}", type=Recall)
    query = Query(
        tenant, asked.seen_by or Whole(), asked.text, asked.kinds, asked.tags, asked.source, asked.trust,
        asked.since_ms, asked.until_ms, asked.limit,
    )  # fmt: skip
    return {"found": await find(house, query)}


async def get(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `get`: rows by id, or all chunks of a document."""
    ids = _ids(msgspec.json.decode(body, type=Named))
    table = await house.current(tenant)
    named = texts(ids)
    there = [row["id"] for row in await table.find(f"id IN ({named}) OR document IN ({named})", ["id"])]
    rows = (await table.fetch(there)).values()
    found: list[Hit] = [hit(row) for row in sorted(rows, key=lambda row: (row["document"], row["n"], row["id"]))]
    if not found:
        raise CallboardError("unknown_memory", f"nothing is remembered as {ids[0][:80]!r}")
    return {"rows": found}


async def sources(house: Memory, tenant: str, body: bytes) -> Found:  # noqa: ARG001 - every question takes a body
    """Answer `sources`: what rows were taken from, the newest first."""
    table, hidden = await house.current(tenant), house.hidden(tenant)
    newest = await table.sources(_SOURCES + 1)
    shown = [one | {"quarantined": one["source"] in hidden} for one in newest[:_SOURCES]]
    return {"sources": shown, "more": len(newest) > _SOURCES}


async def remember(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `remember`."""
    asked = msgspec.json.decode(body, type=Remember)
    if not asked.text.strip() or len(asked.text) > _MOST_TEXT:
        raise CallboardError("invalid_request", f"text has {len(asked.text)} characters, 1 to {_MOST_TEXT} are taken")
    if (asked.scope == "workspace") == bool(asked.owner) or asked.kind in ("note", "document"):
        raise CallboardError("invalid_request", f"a {asked.kind} cannot be kept for {asked.scope} {asked.owner!r}")
    given = {name: getattr(asked, name) for name in ("scope", "owner", "workspace", "trust", "source", "principal")}
    origin = memory.Origin(**given, at_ms=_now_ms())
    key = msgspec.json.encode([asked.kind, asked.workspace, asked.scope, asked.owner, asked.text])
    id_ = asked.id or hashlib.sha256(key).hexdigest()[:20]
    said = memory.Remembered(
        id=id_, kind=asked.kind, text=asked.text, title=asked.title, origin=origin, tags=asked.tags, labels=asked.labels
    )
    await house.writer.remember(tenant, said)
    return {"id": id_}


async def forget(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `forget`."""
    asked = msgspec.json.decode(body, type=Named)
    if asked.source:
        gone = await forgetting.by_source(house, tenant, asked.source, asked.principal, _now_ms())
    else:
        gone = await forgetting.by_id(house, tenant, _ids(asked), asked.principal, _now_ms())
    return {"forgotten": gone}


async def trace(house: Memory, tenant: str, body: bytes) -> tracing.Trace:
    """Answer `trace`."""
    return await tracing.trace(house, tenant, _source(msgspec.json.decode(body, type=Named)))


async def quarantine(house: Memory, tenant: str, body: bytes) -> tracing.Trace:
    """Answer `quarantine`."""
    asked = msgspec.json.decode(body, type=Named)
    return await tracing.quarantine(house, tenant, _source(asked), asked.reason, asked.principal, _now_ms())


async def release(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `release`."""
    asked = msgspec.json.decode(body, type=Named)
    await tracing.release(house, tenant, _source(asked), asked.principal, _now_ms())
    return {"source": asked.source, "quarantined": False}


async def rebuild(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `rebuild`: it begins, and `stats` tells how far it is."""
    if not house.rebuilding:
        house.rebuilding = True
        house.tasks.spawn(rebuilding.rebuild(house))
    return await stats(house, tenant, body)


async def stats(house: Memory, tenant: str, body: bytes) -> Found:  # noqa: ARG001 - every question takes a body
    """Answer `stats`. While tables are being built it tells how far they are, and counts nothing."""
    follower, embedder = house.follower, house.embedder.name
    known: Found = {
        "folder": house.tables.root, "embedder": embedder, "position": follower.position, "last": follower.last,
        "building": house.rebuilding or (not follower.opened and follower.last > 0), "embedded": house.embedded,
        "quarantined": sorted(house.hidden(tenant)),
    }  # fmt: skip
    if not follower.opened or known["building"]:
        return known
    table = await house.current(tenant)
    return known | {
        "rows": len(table.vectors),
        "kinds": table.vectors.kinds(),
        "documents": await table.rows.count_rows("document != '' AND n = 0"),
        "reads": await table.reads.count_rows(),
        "outdated": await table.rows.count_rows(f"embedder != {texts([embedder])}"),
        "indexed": not table.untidy,
    }


def _ids(asked: Named) -> tuple[str, ...]:
    if not asked.ids:
        raise CallboardError("invalid_request", "name at least one id")
    return asked.ids


def _source(asked: Named) -> str:
    if not asked.source:
        raise CallboardError("invalid_request", "name a source")
    return asked.source


def _now_ms() -> int:
    return int(time.time() * 1000)
