"""Answers the question `cost`: rows of exact sums, what they add up to, and what is not to be believed of them.

*Metered* is what calls cost; *billed* is what they cost in trees whose root completed: who failed, gave up or was
cancelled pays nothing. What has no price is counted, never guessed.
"""

from datetime import date
from time import monotonic
from typing import Any

from callboard_services.ledger.cost.question import MOST, Cost
from callboard_services.ledger.cost.sources import Sources
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

PATIENCE_S = 4.0
"""A question that takes longer is too broad: it holds up nobody but who asks such questions."""

_DAY_ONE = date(1970, 1, 1).toordinal()
_TOLD = {
    "calls": "calls",
    "cost_micro_usd": "cost",
    "billed_micro_usd": "CASE status WHEN 'completed' THEN cost ELSE 0 END",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "unpriced_calls": "unpriced",
    "unpriced_tokens": "unpriced_tokens",
    "estimated_calls": "estimated",
    "estimated_micro_usd": "estimated_cost",
}
_SUMS = ", ".join(f"COALESCE(SUM({source}), 0) AS told_{name}" for name, source in _TOLD.items())


def cost(store: Store, tenant: str, question: Cost) -> Row:
    """Return rows and their total, as many as are wanted.

    :raises sqlite3.OperationalError: `interrupted`, it took too long.
    """
    until = monotonic() + PATIENCE_S
    limit = max(1, min(question.limit, MOST))
    found = store.add_up(*_query(tenant, question, limit), until)
    rows = [_row(tenant, question, row) for row in found[:limit]]
    more = len(found) > limit
    if more or question.after:
        whole = Cost(**{name: getattr(question, name) for name in _SAME})
        summed = [_sums(row) for row in store.add_up(*_query(tenant, whole, 1), until)]
    else:
        summed = rows
    return {"rows": rows, "more": more, "totals": {name: sum(row[name] for row in summed) for name in _TOLD}}


_SAME = ("since_ms", "until_ms", "skill", "user", "model", "tool", "status", "label", "tree", "run")
"""The fields that say which calls are meant."""


def _query(tenant: str, question: Cost, limit: int) -> tuple[str, dict[str, Any]]:
    sources, keys = Sources(tenant, question), question.keys
    parts = " UNION ALL ".join(sources.parts())
    columns = "".join(f"{key}, " for key in keys)
    grouped = f"SELECT {columns}{_SUMS} FROM ({parts}) GROUP BY {columns.rstrip(', ') or 'NULL'} HAVING SUM(calls) > 0"  # noqa: S608
    order = ", ".join(["told_cost_micro_usd DESC", *keys] if question.order == "cost" else keys) or "1"
    after = ", ".join(f":after{number}" for number in range(len(question.after)))
    later = f"WHERE ({', '.join(keys)}) > ({after})" if after else ""
    return f"SELECT * FROM ({grouped}) {later} ORDER BY {order} LIMIT {limit + 1}", sources.given  # noqa: S608


def _row(tenant: str, question: Cost, row: Row) -> Row:
    told = {name: _named(name, tenant, row) for name in question.by}
    return told | _sums(row) | {"at": [row[key] for key in question.keys]}


def _named(dimension: str, tenant: str, row: Row) -> Any:
    match dimension:
        case "tenant":
            return tenant
        case "day":
            return date.fromordinal(_DAY_ONE + row["day"]).isoformat() if row["day"] else ""
        case "agent":
            return {"skill": row["skill"], "depth": row["depth"]}
        case _:
            return row[dimension]


def _sums(row: Row) -> Row:
    return {name: row[f"told_{name}"] for name in _TOLD}
