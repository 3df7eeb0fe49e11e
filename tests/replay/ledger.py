"""What the ledger tells of a history's runs: written beside it when it is recorded, compared ever after."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from callboard_contracts.subjects import Subject
from callboard_services.ledger.fold import At, fold
from callboard_services.ledger.queries import OneRun, one_run
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Rows
from tests.replay.history import Line

_OF_RUN = (
    "status", "code", "reason", "turns", "calls", "cost_micro_usd", "tree_cost_micro_usd", "committed",
    "input_tokens", "output_tokens", "unpriced", "parent", "accepted_ms", "ended_ms",
)  # fmt: skip
_OF_CALL = ("tool", "turn", "status", "cost_micro_usd", "reserved_micro_usd", "code", "late")


def told(lines: list[Line], *, batch: int = 64) -> dict[str, Any]:
    """Fold a tree's records and return the totals of each of its runs, by the run's id."""
    records = [(line, Subject.parse(line.subject)) for line in lines if ".log." in line.subject]
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.db")
        try:
            for start in range(0, len(records), batch):
                _write(store, records[start : start + batch])
            runs = sorted({where.address.run for _, where in records if where.address.actor == "run"})
            return {run: _brief(store, records[0][1].address.tenant, run) for run in runs}
        finally:
            store.close()


def _write(store: Store, records: list[tuple[Line, Subject]]) -> None:
    rows = Rows()
    for line, where in records:
        fold(rows, At(where.address.tenant, where.address.run, line.seq, line.time_ms), line.record)
    store.write(rows, records[-1][0].stream, "then", records[-1][0].seq)


def _brief(store: Store, tenant: str, run: str) -> dict[str, Any]:
    found = one_run(store, tenant, OneRun(run=run))
    if found is None:
        raise LookupError(f"the ledger does not know {run}")
    calls = {call["call"]: {key: call[key] for key in _OF_CALL} for call in found["breakdown"]}
    return {key: found[key] for key in _OF_RUN} | {"breakdown": calls}
