"""Where the rows to be added up come from, as SQL: each call is in exactly one of the parts.

What a rollup has is taken from it for whole days, and the calls of the days at both ends are looked at one by one;
so are the calls of trees that are not sealed. What no rollup has is taken from sealed runs, or from calls.
"""

from typing import Any

from callboard_services.ledger.cost.question import Cost
from callboard_services.ledger.schema import DAY_MS, ROLLUPS
from callboard_services.ledger.tables import SUMS

_OF_RUNS = frozenset({"run", "tree", "status", "skill", "depth", "user", "label"})
_SEALED_RUNS = """(SELECT own.tenant AS tenant, own.run AS run, own.tree AS tree, root.status AS status,
    COALESCE(root.principal, '') AS user, COALESCE(own.skill, '') AS skill,
    (LENGTH(own.run) - LENGTH(REPLACE(own.run, '-', ''))) / 2 AS depth, {sums}
    FROM runs AS own JOIN runs AS root ON root.tenant = own.tenant AND root.run = own.tree
    WHERE own.tenant = :tenant AND root.sealed = 1 {more})"""
_UNSEALED = "tree IN (SELECT tree FROM unsealed WHERE tenant = :tenant)"
_LABELLED = "tree IN (SELECT run FROM tags WHERE tenant = :tenant AND tag = :label)"


class Sources:
    """The parts of one question. `given` are the parameters of their conditions."""

    def __init__(self, tenant: str, question: Cost) -> None:
        self._question = question
        self.given: dict[str, Any] = {"tenant": tenant, "label": question.label, **question.filters}
        self.given |= {"since": question.since_ms, "until": question.until_ms or 1 << 62}
        self._where = ["tenant = :tenant", *(f"{name} = :{name}" for name in question.filters)]
        self._where += [_LABELLED] if question.label is not None else []
        for number, column in enumerate(question.keys if question.after else ()):
            self.given[f"after{number}"] = question.after[number]
            if number == 0:  # the rest is for the end, where the rows are together
                self._where.append(f"{column} >= :after0")

    def parts(self) -> list[str]:
        """Return the parts, each a query of `tenant`, the question's columns and the sums."""
        question = self._question
        rollup = next((name for name, columns in ROLLUPS.items() if question.needed <= {*columns}), "")
        if rollup:
            return [*self._summed(rollup), self._facts(_UNSEALED, self._in_time())]
        if question.needed <= _OF_RUNS and not (question.since_ms or question.until_ms):
            return [self._part(self._runs(), *self._chosen()), self._facts(_UNSEALED, *self._chosen())]
        return [self._facts(*self._chosen(), self._in_time())]

    def _summed(self, rollup: str) -> list[str]:
        first, end = -(-self.given["since"] // DAY_MS), self.given["until"] // DAY_MS
        self.given |= {"first": first, "end": end}
        if first >= end:
            return [self._edge("since", "until")]
        self.given |= {"dawn": first * DAY_MS, "dusk": end * DAY_MS}
        edges = [self._edge("since", "dawn")] if self.given["since"] % DAY_MS else []
        edges += [self._edge("dusk", "until")] if self._question.until_ms % DAY_MS else []
        return [self._part(rollup, "day >= :first", "day < :end"), *edges]

    def _edge(self, since: str, until: str) -> str:
        return self._facts(f"asked_ms >= :{since}", f"asked_ms < :{until}", f"NOT {_UNSEALED}")

    def _in_time(self) -> str:
        if not (self._question.since_ms or self._question.until_ms):
            return "true"
        return "COALESCE(asked_ms, 0) >= :since AND COALESCE(asked_ms, 0) < :until"

    def _chosen(self) -> list[str]:
        """Return conditions that say the same again in a way that an index knows."""
        found = ["asked_ms >= :since"] if self._question.since_ms else []
        if self._question.run is not None:
            self.given["of_run"] = self._question.run.split("-", 1)[0]
            found.append("tree = :of_run")
        if self._question.user is not None:
            found.append("tree IN (SELECT run FROM runs WHERE tenant = :tenant AND principal = :user AND run = tree)")
        return found

    def _runs(self) -> str:
        """Return sealed runs; where only the first rows are wanted, no more than those."""
        sums, more = ", ".join(f"own.{name} AS {name}" for name in SUMS), ""
        if self._question.keys in (("run",), ("tree",)) and not self._question.needed - {"run", "tree"}:
            more = self._first(self._question.keys[0])
        return _SEALED_RUNS.format(sums=sums, more=more)

    def _first(self, key: str) -> str:
        self.given["most"] = self._question.limit + 1
        roots = "AND run = tree" if key == "tree" else ""
        if self._question.order == "key":
            after = "AND run > :after0" if self._question.after else ""
            first = f"WHERE tenant = :tenant {roots} {after} ORDER BY run LIMIT :most"
        elif key == "tree":
            first = "WHERE tenant = :tenant AND run = tree AND sealed = 1 ORDER BY tree_cost DESC, run LIMIT :most"
        else:
            first = "WHERE tenant = :tenant AND cost IS NOT NULL ORDER BY cost DESC, run LIMIT :most"
        return f"AND own.{key} IN (SELECT run FROM runs {first})"  # noqa: S608 - our own words

    def _facts(self, *more: str) -> str:
        return self._part("facts", *more)

    def _part(self, source: str, *more: str) -> str:
        keys = self._question.keys
        columns = ", ".join(dict.fromkeys(("status", *keys, *SUMS)))
        return f"SELECT {columns} FROM {source} WHERE {' AND '.join([*self._where, *more])}"  # noqa: S608
