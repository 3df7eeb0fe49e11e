"""What was spent, minute by minute: of each tenant, skill, user and tree, by the time of the guard's settlements.

It answers how fast money goes, now and usually. A call that cost nothing leaves nothing here.
"""

import sqlite3
from collections.abc import Collection, Iterable
from typing import Literal, get_args

from callboard_contracts import ids
from callboard_services.ledger.tables import Spent

MINUTE_MS = 60_000
Scope = Literal["tenant", "skill", "user", "tree"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

Moment = tuple[str, Scope, str, int]
"""Tenant, scope, whose of that scope, and the minute since 1970."""

_MOST_KNOWN = 10_000
_ADD = "INSERT INTO spend VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET cost = cost + excluded.cost"
_WHOSE = """SELECT (SELECT skill FROM runs WHERE tenant = :tenant AND run = :run) AS skill,
    (SELECT principal FROM runs WHERE tenant = :tenant AND run = :tree) AS user"""


class Spending:
    """Adds settlements to the table, for the scopes that are asked for: with none it costs nothing.

    It remembers whose a run is, which never changes once it was accepted.
    """

    def __init__(self, scopes: Collection[Scope]) -> None:
        self._scopes = scopes
        self._whose: dict[tuple[str, str], tuple[str, str]] = {}

    def forget(self) -> None:
        """Remember nothing: the tables are built anew."""
        self._whose.clear()

    def put(self, transaction: sqlite3.Connection, spent: Iterable[Spent]) -> set[Moment]:
        """Add settlements, whose runs are in the tables, and return where."""
        found: dict[Moment, int] = {}
        if not self._scopes:
            return set()
        for tenant, run, at_ms, cost in spent:
            minute = at_ms // MINUTE_MS
            skill, user = self._whose.get((tenant, run)) or self._look(transaction, tenant, run)
            for scope, key in zip(SCOPES, (tenant, skill, user, ids.tree_of(run)), strict=True):
                if key and scope in self._scopes:
                    moment = (tenant, scope, key, minute)
                    found[moment] = found.get(moment, 0) + cost
        transaction.executemany(_ADD, [(*moment, cost) for moment, cost in found.items()])
        return set(found)

    def _look(self, transaction: sqlite3.Connection, tenant: str, run: str) -> tuple[str, str]:
        asked = {"tenant": tenant, "run": run, "tree": ids.tree_of(run)}
        skill, user = transaction.execute(_WHOSE, asked).fetchone()
        whose = (skill or "", user or "")
        if skill is not None and user is not None:
            if len(self._whose) >= _MOST_KNOWN:
                self._whose.clear()
            self._whose[tenant, run] = whose
        return whose
