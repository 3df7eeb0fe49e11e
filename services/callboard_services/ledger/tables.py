"""The tables' columns, and rows on their way into them."""

from typing import Any, Final

import msgspec

from callboard_contracts import ids

RUN: Final = (
    "run", "tree", "parent", "tenant", "skill", "skill_digest", "objective", "model", "principal", "labels", "status",
    "code", "reason", "turns", "accepted_ms", "deadline_ms", "ended_ms", "budget", "committed", "retry_of", "closed_ms",
    "archived", "waiting",
)  # fmt: skip
"""The columns of a run. `closed_ms` is a root's alone: when the guard closed its tree. `archived` is 1 when its records
are in this ledger's files, 0 when they were not whole any more: then they are in another's. `waiting` is the number of
its calls that wait for a person."""

CALL: Final = (
    "call", "run", "tree", "tenant", "tool", "turn", "model", "status", "asked_ms", "granted_ms", "ended_ms",
    "reserved", "settled", "told", "taken", "input_tokens", "output_tokens", "tokens", "unpriced", "duration_ms",
    "code", "message", "late", "result_seq", "seq", "estimated", "input_price", "output_price",
    "summarises",
)  # fmt: skip
"""The columns of a call. `seq` is the record that said something of it last; `summarises`: it is no turn of its run."""

SUMS: Final = (
    "calls", "cost", "input_tokens", "output_tokens", "unpriced", "unpriced_tokens", "estimated", "estimated_cost",
)  # fmt: skip
"""What calls add up to: their number, micro-USD and tokens; of those without a price their number and tokens; of those
whose usage nobody learned their number and micro-USD."""

RUN_KEY: Final = ("tenant", "run")
CALL_KEY: Final = ("tenant", "call")
"""Clients choose the ids of goals, so two tenants may choose the same one."""

TREE: Final = ("tenant", "tree", "stream", "created", "file", "row", "rows", "last_seq", "purges", "purged")
TREE_KEY: Final = ("tenant", "tree")
"""Where an archived tree is: its rows in a file, up to which sequence, and what of its records stays in the journal."""

OF_KEY: Final = frozenset({"run", "tree", "turn"})
"""Columns that follow from the key: they never change, and the indexes over them need not be looked at again."""

FIRST: Final = frozenset({"settled"})
"""Columns whose first value stays."""

Row = dict[str, Any]

Tag = tuple[str, str, int, str]
"""Tenant, label, when the run was accepted, run. A label is there as `name` and as `name:value`."""
Price = tuple[str, str, int, int]
"""Tenant, model, and what a million tokens cost: of the prompt, of the answer."""
Spent = tuple[str, str, int, int]
"""Tenant, run, when (ms since 1970), and how much: what the guard settled."""
Statement = tuple[str, tuple[object, ...]]
"""What to do, and with what."""


class At(msgspec.Struct, frozen=True):
    """Where and when a record was stored."""

    tenant: str
    run: str
    seq: int
    time_ms: int


class Rows(msgspec.Struct):
    """What a batch of records changes."""

    runs: dict[tuple[str, str], Row] = msgspec.field(default_factory=dict)
    calls: dict[tuple[str, str], Row] = msgspec.field(default_factory=dict)
    trees: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Tenants and trees whose rows change."""
    tags: list[Tag] = msgspec.field(default_factory=list)
    prices: dict[Price, int] = msgspec.field(default_factory=dict)
    """Prices that were charged, and when last."""
    spent: list[Spent] = msgspec.field(default_factory=list)
    statements: list[Statement] = msgspec.field(default_factory=list)
    """What requests to people change, in the order of the records."""

    def run(self, key: str, tenant: str) -> Row:
        """Return the row of a run, to be written into. What is not in it, or None, says nothing."""
        row = self.runs.get((tenant, key))
        if row is None:
            tree = ids.tree_of(key)
            self.trees.add((tenant, tree))
            row = self.runs[tenant, key] = {"run": key, "tree": tree, "tenant": tenant}
        return row

    def call(self, key: str, tenant: str, seq: int) -> Row:
        """Return the row of a call, to be written into; a record with this sequence says something of it."""
        row = self.calls.get((tenant, key))
        if row is None:
            tree, (run, turn, _) = ids.tree_of(key), key.rsplit("-", 2)
            self.trees.add((tenant, tree))
            row = self.calls[tenant, key] = {"call": key, "run": run, "tree": tree, "tenant": tenant, "turn": int(turn)}
        row["seq"] = seq
        return row
