"""The tables' columns, and rows on their way into them."""

from typing import Any, Final

import msgspec

from callboard_contracts import ids

RUN: Final = (
    "run", "tree", "parent", "tenant", "skill", "skill_digest", "objective", "model", "principal", "labels", "status",
    "code", "reason", "turns", "accepted_ms", "deadline_ms", "ended_ms", "budget", "committed",
)  # fmt: skip
"""The columns of a run; the first is its key."""

CALL: Final = (
    "call", "run", "tree", "tenant", "tool", "turn", "model", "status", "asked_ms", "granted_ms", "ended_ms",
    "reserved", "settled", "told", "taken", "input_tokens", "output_tokens", "tokens", "unpriced", "duration_ms",
    "code", "message", "late", "result_seq", "seq",
)  # fmt: skip
"""The columns of a call; the first is its key. `seq` is the record that said something of it last."""

FIRST: Final = frozenset({"settled"})
"""Columns whose first value stays."""

Row = dict[str, Any]


class Rows(msgspec.Struct):
    """What a batch of records changes."""

    runs: dict[str, Row] = msgspec.field(default_factory=dict)
    calls: dict[str, Row] = msgspec.field(default_factory=dict)

    def run(self, key: str, tenant: str) -> Row:
        """Return the row of a run, to be written into."""
        row = self.runs.get(key)
        if row is None:
            row = self.runs[key] = dict.fromkeys(RUN)
            row.update(run=key, tree=ids.tree_of(key), tenant=tenant)
        return row

    def call(self, key: str, tenant: str, seq: int) -> Row:
        """Return the row of a call, to be written into; a record with this sequence says something of it."""
        row = self.calls.get(key)
        if row is None:
            row = self.calls[key] = dict.fromkeys(CALL)
            row.update(call=key, run=ids.run_of(key), tree=ids.tree_of(key), tenant=tenant, turn=ids.turn_of(key))
        row["seq"] = seq
        return row
