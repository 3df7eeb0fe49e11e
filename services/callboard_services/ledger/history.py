"""A page of runs, newest first, out of a million: which index finds it, and what each run is told with.

One index is read in the order in which runs are listed, and the page ends the reading. What a tree cost has an index of
its own, in another order: it is used where so few trees cost so much that all of them can be looked at.
"""

from typing import Any

import msgspec

from callboard_contracts import ids
from callboard_contracts.units import MicroUsd
from callboard_services.ledger.queries import shown
from callboard_services.ledger.schema import BEGAN
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

MOST = 200
"""Runs in one answer."""
_FEW = 5000
"""So many trees can be looked at."""
_ORDER = f"ORDER BY {BEGAN} DESC, run DESC LIMIT"
_COST = """CASE WHEN sealed = 1 THEN tree_cost ELSE (SELECT COALESCE(SUM(cost), 0) FROM costs
    WHERE costs.tenant = runs.tenant AND costs.tree = runs.tree) END"""
"""What the whole tree of a root cost."""
_TAGGED = """EXISTS (SELECT 1 FROM tags WHERE tags.tenant = runs.tenant AND tags.tag = :{tag}
    AND tags.began = runs.accepted_ms AND tags.run = runs.run)"""


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """The question `runs`: newest first. Every filter that is given must hold."""

    status: str = ""
    skill: str = ""
    user: str = ""
    """Who started it."""
    label: str = ""
    """`name` or `name:value`."""
    labels: tuple[str, ...] = ()
    """More of them."""
    since_ms: int = 0
    """Begun at this time or later."""
    until_ms: int = 0
    """Begun before this time; 0: any."""
    min_cost_micro_usd: MicroUsd | None = None
    """The whole tree cost this much or more."""
    max_cost_micro_usd: MicroUsd | None = None
    """The whole tree cost this much or less."""
    before: str = ""
    """Only runs that come after this one: the last one of the page before."""
    limit: int = 50
    children: bool = False
    """Sub-agents too, not only the roots of trees."""

    @property
    def tags(self) -> tuple[str, ...]:
        """All labels."""
        return tuple(label for label in (self.label, *self.labels) if label)


def runs(store: Store, tenant: str, question: Runs) -> list[Row]:
    """Return a page of runs."""
    asked = _Asked(store, tenant, question)
    limit = max(1, min(question.limit, MOST))
    found = asked.by_cost(limit) if asked.has_few() else asked.in_order(limit)
    return [shown(store, row) for row in found]


class _Asked:
    """A question as conditions on rows of `runs`."""

    def __init__(self, store: Store, tenant: str, question: Runs) -> None:
        self._store = store
        self._question = question
        self._where = ["runs.tenant = :tenant"]
        self._given: dict[str, Any] = {"tenant": tenant}
        if not question.children:
            self._where.append("runs.run = runs.tree")
        status = "running" if question.status == "waiting" else question.status
        if status == "running":
            self._add(f"COALESCE(waiting, 0) {'>' if question.status == 'waiting' else '='} 0")
        for column, value in (("status", status), ("skill", question.skill), ("principal", question.user)):
            if value:
                self._add(f"{column} = :{column}", **{column: value})
        self._within("COALESCE(accepted_ms, 0)", "runs.run", self._where)
        for number, tag in enumerate(question.tags[1:], 2):
            self._add(_TAGGED.format(tag=f"tag{number}"), **{f"tag{number}": tag})

    def _add(self, condition: str, **given: Any) -> None:
        self._where.append(condition)
        self._given |= given

    def _within(self, began: str, run: str, where: list[str]) -> None:
        """Add which times are meant, as conditions on columns."""
        question = self._question
        self._given |= {"since": question.since_ms, "until": question.until_ms, "before": question.before}
        where += [f"{began} >= :since"] if question.since_ms else []
        where += [f"{began} < :until"] if question.until_ms else []
        if question.before:
            self._given.setdefault("began", _began(self._store, self._given["tenant"], question.before))
            where += [f"{began} <= :began", f"({began}, {run}) < (:began, :before)"]  # an index knows the first alone

    def has_few(self) -> bool:
        """Tell whether the amounts that are asked for are those of a few trees."""
        if not self._has_range:
            return False
        query = f"""SELECT COUNT(*) AS found FROM (SELECT 1 FROM runs INDEXED BY roots_by_cost
            WHERE tenant = :tenant AND run = tree AND sealed = 1 AND {self._in_range("tree_cost")} LIMIT {_FEW})"""  # noqa: S608
        return bool(self._store.select(query, self._given)[0]["found"] < _FEW)

    def in_order(self, limit: int) -> list[Row]:
        """Read the index that fits best, in the order of the page."""
        where = " AND ".join([*self._where, *([self._in_range(_COST)] if self._has_range else [])])
        if not self._question.tags:
            query = f"SELECT * FROM runs INDEXED BY {self._index()} WHERE {where} {_ORDER} {limit}"  # noqa: S608
            return self._store.select(query, self._given)
        self._given["tag1"] = self._question.tags[0]
        tagged = ["tags.tenant = :tenant", "tags.tag = :tag1"]
        self._within("tags.began", "tags.run", tagged)
        query = f"""SELECT runs.* FROM tags CROSS JOIN runs ON runs.tenant = tags.tenant AND runs.run = tags.run
            WHERE {" AND ".join(tagged)} AND {where} ORDER BY tags.began DESC, tags.run DESC LIMIT {limit}"""  # noqa: S608
        return self._store.select(query, self._given)

    def by_cost(self, limit: int) -> list[Row]:
        """Find by what it cost, whenever it was; what is not sealed has no place in that index."""
        self._given["tag1"] = (*self._question.tags, "")[0]
        where = " AND ".join([*self._where, *([_TAGGED.format(tag="tag1")] if self._question.tags else [])])
        sealed = f"""SELECT * FROM runs INDEXED BY roots_by_cost WHERE {where} AND run = tree AND sealed = 1
            AND {self._in_range("tree_cost")}"""  # noqa: S608 - our own words
        others = f"""SELECT * FROM runs WHERE {where} AND run IN (SELECT tree FROM unsealed WHERE tenant = :tenant)
            AND sealed IS NULL AND {self._in_range(_COST)}"""  # noqa: S608 - our own words
        return self._store.select(f"SELECT * FROM ({sealed} UNION ALL {others}) {_ORDER} {limit}", self._given)  # noqa: S608

    @property
    def _has_range(self) -> bool:
        return self._question.min_cost_micro_usd is not None or self._question.max_cost_micro_usd is not None

    def _in_range(self, cost: str) -> str:
        least, most = self._question.min_cost_micro_usd, self._question.max_cost_micro_usd
        self._given |= {"least": least or 0, "most": most}
        return f"{cost} >= :least" + ("" if most is None else f" AND {cost} <= :most")

    def _index(self) -> str:
        question = self._question
        if question.children:
            return "runs_by_time"
        given = {"user": question.user, "skill": question.skill, "status": question.status, "time": "always"}
        return f"roots_by_{next(name for name, value in given.items() if value)}"


def _began(store: Store, tenant: str, run: str) -> int:
    found = store.select(f"SELECT {BEGAN} AS began FROM runs WHERE tenant = ? AND run = ?", (tenant, run))  # noqa: S608
    return int(found[0]["began"]) if found else ids.ulid_ms(run) if ids.is_run(run) else 0
