"""What the list of requests is asked: a page of them, newest first."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from callboard_contracts import ids
from callboard_contracts.policy import GROUP
from callboard_services.ledger.approvals import ANYBODY, GAVE, HAS, MAY, OPEN
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

MOST: Final = 200
"""Requests in one answer."""
_DECIDERS = "SELECT role, who FROM deciders WHERE tenant = ? AND request = ?"
_WHO = """SELECT 1 FROM deciders
    WHERE deciders.tenant = approvals.tenant AND deciders.request = approvals.request AND role = ?"""


class Approvals(msgspec.Struct, frozen=True, kw_only=True):
    """The question `approvals`: newest first. Every filter that is given must hold."""

    status: str = ""
    """`open`, `decided` or one outcome."""
    run: str = ""
    """Of this run and its sub-agents."""
    principal: str = ""
    """That this one may decide, by name or by one of `groups`."""
    groups: tuple[str, ...] = ()
    group: str = ""
    """That this group is named to decide."""
    before: Annotated[str, Meta(pattern=r"^([0-9]{1,16}\.[0-9A-Z-]{28,300})?$")] = ""
    """The `cursor` of the last one of the page before."""
    limit: int = 50


def page(store: Store, tenant: str, question: Approvals) -> list[Row]:
    """Return a page of requests."""
    conditions: list[tuple[str, tuple[object, ...]]] = [("tenant = ?", (tenant,)), *_of_status(question.status)]
    if question.run:
        below = f"{question.run}-"
        conditions.append(("tree = ?", (ids.tree_of(question.run),)))
        conditions.append(("(run = ? OR substr(run, 1, ?) = ?)", (question.run, len(below), below)))
    if question.principal:
        groups = (GROUP + group for group in question.groups)
        conditions.append(_named(MAY, ANYBODY, question.principal, *groups))
        conditions.append(_named(GAVE, question.principal, no="NOT "))
    if question.group:
        conditions.append(_named(MAY, GROUP + question.group))
    if question.before:
        at, _, request = question.before.partition(".")
        conditions.append(("(requested_ms, request) < (?, ?)", (int(at), request)))
    where = " AND ".join(text for text, _ in conditions)
    limit = max(1, min(question.limit, MOST))
    query = f"SELECT * FROM approvals WHERE {where} ORDER BY requested_ms DESC, request DESC LIMIT {limit}"  # noqa: S608
    return [_shown(store, row) for row in store.select(query, [value for _, values in conditions for value in values])]


def _of_status(status: str) -> list[tuple[str, tuple[object, ...]]]:
    if status == "decided":
        return [("status <> 'open'", ())]
    if status == OPEN:
        return [("status = 'open'", ())]
    return [("status = ?", (status,))] if status else []


def _named(role: str, *who: str, no: str = "") -> tuple[str, tuple[object, ...]]:
    marks = ", ".join("?" * len(who))
    return (f"{no}EXISTS ({_WHO} AND who IN ({marks}))", (role, *who))


def _shown(store: Store, row: Row) -> Row:
    found = store.select(_DECIDERS, (row["tenant"], row["request"]))
    gave = [one["who"] for one in found if one["role"] == GAVE]
    may = [one["who"] for one in found if one["role"] == MAY and one["who"] not in gave]
    told = {key: value for key, value in row.items() if key not in ("tenant", "digest")}
    return told | {
        "approvers": [] if ANYBODY in may else may,
        "approved_by": [one["who"] for one in found if one["role"] == HAS],
        "decided_by": msgspec.json.decode(row["decided_by"]),
        "edited": bool(row["edited"]),
        "cursor": f"{row['requested_ms']}.{row['request']}",
    }
