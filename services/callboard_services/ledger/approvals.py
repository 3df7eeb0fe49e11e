"""Requests to people, as a list of them needs: what was asked, who may decide, who approved, how it ended.

A request changes a few times in its life, so each event is one or two statements, done in the order of the records.
Done again they change nothing. Details stay where they are, in the request's own records.
"""

from typing import Any, Final, assert_never

import msgspec

from callboard_contracts import approval, ids, names
from callboard_services.ledger.tables import At, Rows, Statement

TABLES: Final = ("approvals", "deciders")
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS approvals (tenant, request, tree, run, tool, effect, objective, skill, principal, rule,
    reason, quorum, worst_micro_usd, digest, status, requested_ms, expires_ms, decided_ms, decided_by, comment, edited,
    PRIMARY KEY (tenant, request)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deciders (tenant, request, role, who,
    PRIMARY KEY (tenant, request, role, who)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS approvals_by_time ON approvals (tenant, requested_ms, request);
CREATE INDEX IF NOT EXISTS approvals_by_tree ON approvals (tenant, tree);
CREATE INDEX IF NOT EXISTS approvals_open ON approvals (tenant, requested_ms, request) WHERE status = 'open';
"""
ANYBODY: Final = "*"
MAY: Final = "may"
HAS: Final = "has"
GAVE: Final = "gave"
"""Roles: may decide, has approved what would run now, delegated and therefore may not decide."""
OPEN: Final = "open"
_BRIEF = 500
_ASKED = f"INSERT OR IGNORE INTO approvals VALUES ({', '.join('?' * 21)})"  # noqa: S608 - question marks
_CHANGED = "UPDATE approvals SET digest = ?, edited = 1 WHERE tenant = ? AND request = ?"
_DECIDED = """UPDATE approvals SET status = ?, decided_ms = ?, decided_by = ?, comment = ?
    WHERE tenant = ? AND request = ?"""
_ADD = "INSERT OR IGNORE INTO deciders VALUES (?, ?, ?, ?)"
_DROP = "DELETE FROM deciders WHERE tenant = ? AND request = ? AND role = ? AND who = ?"
_OTHERS = """DELETE FROM deciders WHERE tenant = ? AND request = ? AND role = ?
    AND NOT EXISTS (SELECT 1 FROM approvals WHERE tenant = ? AND request = ? AND digest = ?)"""


def fold(rows: Rows, at: At, event: approval.Event) -> None:
    """Add what an event of a request changes to the rows of its batch."""
    rows.statements += _statements(at.tenant, at.run, event)


def _statements(tenant: str, request: str, event: approval.Event) -> list[Statement]:
    match event:
        case approval.Requested():
            approvers = event.request.rule.approvers or (ANYBODY,)
            return [(_ASKED, _row(tenant, event)), *_may(tenant, request, approvers)]
        case approval.Voted():
            return _voted(tenant, request, event)
        case approval.Escalated():
            return _may(tenant, request, event.to)
        case approval.Decided():
            by = msgspec.json.encode(event.by).decode()
            return [(_DECIDED, (event.outcome, event.at_ms, by, event.reason[:_BRIEF], tenant, request))]
        case approval.VoteRefused() | approval.Reminded() | approval.Armed():
            return []
        case _:
            assert_never(event)


def _voted(tenant: str, request: str, event: approval.Voted) -> list[Statement]:
    match event.vote:
        case "approve":
            return [(_ADD, (tenant, request, HAS, event.principal))]
        case "edit":
            return [
                (_OTHERS, (tenant, request, HAS, tenant, request, event.digest)),
                (_CHANGED, (event.digest, tenant, request)),
                (_ADD, (tenant, request, HAS, event.principal)),
            ]
        case "delegate":
            left = [(_DROP, (tenant, request, HAS, event.principal)), (_DROP, (tenant, request, GAVE, event.to))]
            return [*left, (_ADD, (tenant, request, GAVE, event.principal)), *_may(tenant, request, (event.to,))]
        case "deny" | "answer":
            return []
        case _:
            assert_never(event.vote)


def _may(tenant: str, request: str, who: tuple[str, ...]) -> list[Statement]:
    return [(_ADD, (tenant, request, MAY, one)) for one in who]


def _row(tenant: str, event: approval.Requested) -> tuple[Any, ...]:
    asked = event.request
    return (
        tenant, asked.id, ids.tree_of(asked.run), asked.run, asked.tool, asked.effect, event.objective[:_BRIEF],
        event.skill, event.principal, asked.rule.name, _reason(asked)[:_BRIEF], asked.rule.quorum,
        asked.worst_micro_usd, asked.digest, OPEN, event.at_ms, event.expires_ms, None, "[]", "", 0,
    )  # fmt: skip


def _reason(asked: approval.Request) -> str:
    """Return why people are asked: what the rule says, or the question itself."""
    if asked.tool == names.ASK and isinstance(asked.arguments, dict):
        return str(asked.arguments.get("question", ""))
    return asked.rule.reason
