"""What the tables are asked: one run with its calls, or a page of runs."""

from typing import Any

import msgspec

from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

MOST = 200
"""Runs in one answer."""
_MOST_CALLS = 5000
_MOST_CHILDREN = 500
_CALLS = "SELECT * FROM costs WHERE tenant = ? AND tree = ? AND run = ? ORDER BY asked_ms, turn, call LIMIT ?"
_CHILDREN = "SELECT * FROM runs WHERE tenant = ? AND tree = ? AND parent = ? ORDER BY accepted_ms, run LIMIT ?"

_SUMS = """count(*) AS calls, COALESCE(sum(cost), 0) AS cost_micro_usd, COALESCE(sum(input_tokens), 0) AS input_tokens,
    COALESCE(sum(output_tokens), 0) AS output_tokens, COALESCE(max(unpriced), 0) AS unpriced,
    COALESCE(sum(tool = 'model'), 0) AS asked"""


class OneRun(msgspec.Struct, frozen=True, kw_only=True):
    """The question `run`."""

    run: str
    min_seq: int = 0
    """Answer when the journal is folded up to this sequence, or after two seconds with what there is."""


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """The question `runs`: newest first. Every filter that is given must hold."""

    status: str = ""
    skill: str = ""
    label: str = ""
    """`name` or `name:value`."""
    before: str = ""
    """Only runs with a lower id: the last one of the page before."""
    limit: int = 50
    children: bool = False
    """Sub-agents too, not only the roots of trees."""


def one_run(store: Store, tenant: str, question: OneRun) -> Row | None:
    """Return a run with its calls, its children and its tree's totals; None when it is not known."""
    found = store.select("SELECT * FROM runs WHERE tenant = ? AND run = ?", (tenant, question.run))
    if not found:
        return None
    row = _shown(store, found[0])
    calls = store.select(_CALLS, (tenant, row["tree"], row["run"], _MOST_CALLS))
    row["breakdown"] = [_call(call) for call in calls]
    children = store.select(_CHILDREN, (tenant, row["tree"], row["run"], _MOST_CHILDREN))
    row["children"] = [_shown(store, child) for child in children]
    row["tree_totals"] = _sums(store, "tenant = ? AND tree = ?", (tenant, row["tree"]))
    return row


def runs(store: Store, tenant: str, question: Runs) -> list[Row]:
    """Return a page of runs."""
    conditions: list[tuple[str, tuple[str, ...]]] = [("tenant = ?", (tenant,))]
    if not question.children:
        conditions.append(("run = tree", ()))
    if question.status:
        conditions.append(("status = ?", (question.status,)))
    if question.skill:
        conditions.append(("skill = ?", (question.skill,)))
    if question.before:
        conditions.append(("run < ?", (question.before,)))
    if question.label:
        conditions.append(_label(question.label))
    where = " AND ".join(text for text, _ in conditions)
    parameters = [value for _, values in conditions for value in values]
    limit = max(1, min(question.limit, MOST))
    page = store.select(f"SELECT * FROM runs WHERE {where} ORDER BY run DESC LIMIT {limit}", parameters)  # noqa: S608
    return [_shown(store, row) for row in page]


def _label(label: str) -> tuple[str, tuple[str, ...]]:
    name, colon, value = label.partition(":")
    if colon:
        return "EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)", (name, value)
    return "EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ?)", (name,)


def _sums(store: Store, condition: str, parameters: tuple[str, ...]) -> dict[str, Any]:
    found = store.select(f"SELECT {_SUMS} FROM costs WHERE {condition}", parameters)[0]  # noqa: S608 - our own words
    found["unpriced"] = bool(found["unpriced"])
    return found


def _shown(store: Store, row: Row) -> Row:
    """Return a run as it is told: with what its calls sum up to; a root with its whole tree's cost."""
    whose = (row["tenant"], row["tree"])
    sums = _sums(store, "tenant = ? AND tree = ? AND run = ?", (*whose, row["run"]))
    turns = sums.pop("asked") if row["turns"] is None else row["turns"]
    sums.pop("asked", None)
    tree = _sums(store, "tenant = ? AND tree = ?", whose) if row["run"] == row["tree"] else sums
    told = {"labels": msgspec.json.decode(row["labels"] or "{}"), "archived": row["archived"] is not None}
    return row | sums | told | {"turns": turns, "tree_cost_micro_usd": tree["cost_micro_usd"]}


def _call(row: Row) -> Row:
    kept = ("call", "tool", "turn", "model", "status", "asked_ms", "granted_ms", "ended_ms", "duration_ms")
    found = {key: row[key] for key in kept}
    found |= {key: row[key] or 0 for key in ("input_tokens", "output_tokens")}
    found |= {key: row[key] or "" for key in ("code", "message")}
    return found | {
        "cost_micro_usd": row["cost"],
        "reserved_micro_usd": row["reserved"] or 0,
        "unpriced": bool(row["unpriced"]),
        "late": bool(row["late"]),
        "result_seq": row["result_seq"],
    }
