"""The sources of what one person may see."""

from collections import Counter
from typing import Any

import msgspec

from callboard_contracts import memory
from callboard_services.memory.house import Memory
from callboard_services.memory.person import NEEDED, sees
from callboard_services.memory.query import texts
from callboard_services.memory.rows import Row

Found = dict[str, Any]
_KEPT = ("source", "kind", "trust", "title", "scope", "owner", "workspace", "document", "at_ms")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A list of sources. Without a kind, of everything but what runs did: that is a source for each run."""

    principal: str
    workspace: str = ""
    kind: memory.Kind | None = None
    limit: int = 200


async def sources(house: Memory, tenant: str, body: bytes) -> Found:
    """Answer `person-sources`: what rows were taken from, the newest first, and how many of each kind."""
    asked = msgspec.json.decode(body, type=Page)
    found, kinds = dict[str, Found](), Counter[str]()
    wanted = f"workspace = {texts([asked.workspace])}" if asked.workspace else "true"
    for row in await house.reading(tenant, lambda table: table.find(wanted, NEEDED)):
        if sees(asked.principal, row):
            kinds[row["kind"]] += 1
            if row["kind"] == asked.kind or (asked.kind is None and row["kind"] != "episode"):
                _count(found, row)
    hidden = house.hidden(tenant)
    newest = sorted(found.values(), key=lambda one: (-one["at_ms"], one["source"]))
    shown = [one | {"quarantined": one["source"] in hidden} for one in newest[: asked.limit]]
    return {"sources": shown, "more": len(newest) > len(shown), "kinds": dict(kinds)}


def _count(found: dict[str, Found], row: Row) -> None:
    known = found.setdefault(row["source"], {name: row[name] for name in _KEPT} | {"rows": 0})
    known["rows"] += 1
    known["at_ms"] = max(known["at_ms"], row["at_ms"])
