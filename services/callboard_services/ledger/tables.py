"""The tables' columns, and rows on their way into them."""

from typing import Any, Final

import msgspec

from callboard_contracts import ids

RUN: Final = (
    "run", "tree", "parent", "tenant", "skill", "skill_digest", "objective", "model", "principal", "labels", "status",
    "code", "reason", "turns", "accepted_ms", "deadline_ms", "ended_ms", "budget", "committed", "retry_of", "closed_ms",
    "archived",
)  # fmt: skip
"""The columns of a run. `closed_ms` is a root's alone: when the guard closed its tree. `archived` is 1 when its records
are in this ledger's files, 0 when they were not whole any more: then they are in another's."""

CALL: Final = (
    "call", "run", "tree", "tenant", "tool", "turn", "model", "status", "asked_ms", "granted_ms", "ended_ms",
    "reserved", "settled", "told", "taken", "input_tokens", "output_tokens", "tokens", "unpriced", "duration_ms",
    "code", "message", "late", "result_seq", "seq",
)  # fmt: skip
"""The columns of a call. `seq` is the record that said something of it last."""

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

    def run(self, key: str, tenant: str) -> Row:
        """Return the row of a run, to be written into."""
        row = self.runs.get((tenant, key))
        if row is None:
            row = self.runs[tenant, key] = dict.fromkeys(RUN)
            row.update(run=key, tree=ids.tree_of(key), tenant=tenant)
        return row

    def call(self, key: str, tenant: str, seq: int) -> Row:
        """Return the row of a call, to be written into; a record with this sequence says something of it."""
        row = self.calls.get((tenant, key))
        if row is None:
            row = self.calls[tenant, key] = dict.fromkeys(CALL)
            row.update(call=key, run=ids.run_of(key), tree=ids.tree_of(key), tenant=tenant, turn=ids.turn_of(key))
        row["seq"] = seq
        return row
