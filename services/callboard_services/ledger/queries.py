"""What the tables are asked of one run: its calls, its sub-agents, and what they add up to."""

from typing import Any

import msgspec

from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import RUN, Row

_MOST_CALLS = 5000
_MOST_CHILDREN = 500
_CALLS = "SELECT * FROM costs WHERE tenant = ? AND tree = ? AND run = ? ORDER BY asked_ms, turn, call LIMIT ?"
_CHILDREN = "SELECT * FROM runs WHERE tenant = ? AND tree = ? AND parent = ? ORDER BY accepted_ms, run LIMIT ?"

_TOLD = ("calls", "cost_micro_usd", "input_tokens", "output_tokens")
_SUMS = """COUNT(*) AS calls, COALESCE(SUM(cost), 0) AS cost_micro_usd, COALESCE(SUM(input_tokens), 0) AS input_tokens,
    COALESCE(SUM(output_tokens), 0) AS output_tokens, COALESCE(SUM(unpriced), 0) AS unpriced,
    COALESCE(SUM(estimated), 0) AS estimated"""
_IS_SEALED = "SELECT 1 FROM runs WHERE tenant = ? AND run = ? AND sealed = 1"
_ASKED = """SELECT COUNT(*) AS asked FROM calls WHERE tenant = ? AND tree = ? AND run = ? AND tool = 'model'
    AND summarises IS NULL AND COALESCE(code, '') <> 'paused'"""
"""How often a model was asked for a step, as the planner counts: not what a pause kept from it."""
_SEALED_TREE = """SELECT (SELECT sealed FROM runs WHERE tenant = ? AND run = ?) AS sealed, SUM(calls) AS calls,
    SUM(cost) AS cost_micro_usd, SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens,
    SUM(unpriced) AS unpriced, SUM(estimated) AS estimated FROM runs WHERE tenant = ? AND tree = ?"""


class OneRun(msgspec.Struct, frozen=True, kw_only=True):
    """The question `run`."""

    run: str
    min_seq: int = 0
    """Answer when the journal is folded up to this sequence, or after two seconds with what there is."""


def one_run(store: Store, tenant: str, question: OneRun) -> Row | None:
    """Return a run with its calls, its children and its tree's totals; None when it is not known."""
    found = store.select("SELECT * FROM runs WHERE tenant = ? AND run = ?", (tenant, question.run))
    if not found:
        return None
    row = shown(store, found[0])
    calls = store.select(_CALLS, (tenant, row["tree"], row["run"], _MOST_CALLS))
    row["breakdown"] = [_call(call) for call in calls]
    children = store.select(_CHILDREN, (tenant, row["tree"], row["run"], _MOST_CHILDREN))
    row["children"] = [shown(store, child) for child in children]
    row["tree_totals"] = tree_sums(store, tenant, row["tree"])
    return row


def shown(store: Store, row: Row) -> Row:
    """Return a run as it is told: with what its calls sum up to; a root with its whole tree's cost."""
    sums = _of_run(store, row)
    turns = sums.pop("asked", None) if row["turns"] is None else row["turns"]
    sums.pop("asked", None)
    told = {"labels": msgspec.json.decode(row["labels"] or "{}"), "archived": row["archived"] is not None}
    told |= {"waiting": row["waiting"] or 0}
    if row["status"] == "running" and row["waiting"]:
        told["status"] = "waiting"
    is_root = row["run"] == row["tree"]
    tree = tree_sums(store, row["tenant"], row["tree"])["cost_micro_usd"] if is_root else sums["cost_micro_usd"]
    return {name: row[name] for name in RUN} | sums | told | {"turns": turns, "tree_cost_micro_usd": tree}


def tree_sums(store: Store, tenant: str, tree: str) -> dict[str, Any]:
    """Return what all calls of a tree sum up to."""
    sealed = store.select(_SEALED_TREE, (tenant, tree, tenant, tree))[0]
    if sealed["sealed"]:
        return _told(sealed)
    return _told(store.select(f"SELECT {_SUMS} FROM facts WHERE tenant = ? AND tree = ?", (tenant, tree))[0])  # noqa: S608


def _of_run(store: Store, row: Row) -> dict[str, Any]:
    """Return what the calls of one run sum up to: as it was written down, if nothing can come to it any more."""
    whose = (row["tenant"], row["tree"])
    if row["turns"] is not None and store.select(_IS_SEALED, whose):
        return _told(row | {"cost_micro_usd": row["cost"]})
    whole = (*whose, row["run"])
    query = f"SELECT {_SUMS} FROM facts WHERE tenant = ? AND tree = ? AND run = ?"  # noqa: S608 - our own words
    return _told(store.select(query, whole)[0]) | {"asked": store.select(_ASKED, whole)[0]["asked"]}


def _told(sums: Row) -> dict[str, Any]:
    found = {name: sums[name] for name in _TOLD}
    return found | {"unpriced": bool(sums["unpriced"]), "estimated": bool(sums["estimated"])}


def _call(row: Row) -> Row:
    kept = ("call", "tool", "turn", "model", "status", "asked_ms", "granted_ms", "ended_ms", "duration_ms")
    found = {key: row[key] for key in kept}
    found |= {key: row[key] or 0 for key in ("input_tokens", "output_tokens")}
    found |= {key: row[key] or "" for key in ("code", "message")}
    return found | {
        "cost_micro_usd": row["cost"],
        "reserved_micro_usd": row["reserved"] or 0,
        "unpriced": bool(row["unpriced"]),
        "estimated": bool(row["estimated"]),
        "price": None if row["input_price"] is None else [row["input_price"], row["output_price"]],
        "late": bool(row["late"]),
        "result_seq": row["result_seq"],
    }
