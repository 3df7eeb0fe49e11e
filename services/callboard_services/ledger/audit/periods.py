"""Which trees had something to do with a period: what an export of the audit log goes through, a page at a time."""

from typing import Any

import msgspec

from callboard_services.ledger.store import Store

MOST = 500


class Trees(msgspec.Struct, frozen=True, kw_only=True):
    """The question `trees`. Every filter that is given must hold; the newest tree comes first."""

    since_ms: int = 0
    """Only trees that were not over before this time, in ms since 1970."""
    until_ms: int = 0
    """Only trees that began before it; 0: any."""
    user: str = ""
    """Only trees that this principal started."""
    tool: str = ""
    """Only trees in which this tool was called."""
    before: str = ""
    """Only trees with a lower id: that of the last one of the page before."""
    limit: int = MOST


_TOOL = "EXISTS (SELECT 1 FROM calls WHERE calls.tenant = runs.tenant AND calls.tree = runs.tree AND tool = ?)"


def trees(store: Store, tenant: str, asked: Trees) -> list[dict[str, Any]]:
    """Return a page of trees, each with whether it is in the archive."""
    conditions: list[tuple[str, str | int]] = [
        ("tenant = ?", tenant),
        ("COALESCE(closed_ms, 9223372036854775807) >= ?", asked.since_ms),
    ]
    conditions += [("accepted_ms < ?", asked.until_ms)] if asked.until_ms else []
    conditions += [("principal = ?", asked.user)] if asked.user else []
    conditions += [(_TOOL, asked.tool)] if asked.tool else []
    conditions += [("run < ?", asked.before)] if asked.before else []
    where = " AND ".join(text for text, _ in conditions)
    limit = max(1, min(asked.limit, MOST))
    query = f"SELECT run, archived FROM runs WHERE run = tree AND {where} ORDER BY run DESC LIMIT {limit}"  # noqa: S608
    rows = store.select(query, [value for _, value in conditions])
    return [{"run": row["run"], "archived": row["archived"] is not None} for row in rows]
