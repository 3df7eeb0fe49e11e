"""A ledger with a long history: how fast runs are found in it, and how fast what they cost is added up.

The database is made by the ledger's own store from rows that follow from their number: users have favourite skills,
a few users and skills do most, amounts spread over some orders of magnitude, one tree in ten has a sub-agent.
"""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from callboard_contracts import ids
from callboard_services.ledger.cost.answer import cost
from callboard_services.ledger.cost.question import DIMENSIONS, Cost
from callboard_services.ledger.history import Runs, runs
from callboard_services.ledger.schema import DAY_MS
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row, Rows

TENANT = "default"
DAYS = 90
CALLS_OF_A_RUN = 5
_END_MS = 20_500 * DAY_MS
_BATCH = 500
_STATUSES = ("completed",) * 17 + ("failed", "unachievable", "cancelled")
_MODELS = ("large", "medium", "small", "local", "unpriced")
_TOOLS = tuple(f"tool.{number}" for number in range(12))
_PAGES = 60

Question = Callable[[random.Random], Runs]


def measure(folder: Path, many: int) -> dict[str, float]:
    """Return how long pages and sums take, and what making it all took."""
    store = Store(folder / "ledger.db")
    try:
        for rows in _batches(many):
            store.change(rows=rows)
        stored = time.perf_counter()
        while store.seal(300):
            pass
        sealed = time.perf_counter()
        return {
            "seal_us_per_tree": 1e6 * (sealed - stored) / many,
            "mib": (folder / "ledger.db").stat().st_size / 2**20,
            "page_ms": max(_percentile(store, one) for one in _one_filter(many)),
            "page_of_several_ms": max(_percentile(store, several) for several in _filters(many)),
            "sum_s": max(_seconds(store, Cost(by=(name,), limit=100)) for name in DIMENSIONS if name != "call"),
            "sum_of_several_s": max(_seconds(store, several) for several in _sums(many)),
        }
    finally:
        store.close()


def _run_id(number: int, many: int) -> str:
    return ids.ulid(_END_MS - DAYS * DAY_MS * (many - number) // many, number.to_bytes(10, "big"))


def _batches(many: int) -> Iterator[Rows]:
    for start in range(0, many, _BATCH):
        rows = Rows()
        for number in range(start, min(start + _BATCH, many)):
            _tree(rows, number, many)
        yield rows


def _tree(rows: Rows, number: int, many: int) -> None:
    dice = random.Random(number)  # noqa: S311 - the same history at every run
    run, at_ms = _run_id(number, many), _END_MS - DAYS * DAY_MS * (many - number) // many
    user = min(int(dice.expovariate(0.01)), 499)
    skill = f"skill-{(user * 7 + min(int(dice.expovariate(1)), 3)) % 40}"
    status = dice.choice(_STATUSES)
    row = rows.run(run, TENANT)
    row.update(parent="", skill=skill, objective=f"Find the total of invoice {number}.", model="small", status=status)
    row.update(principal=f"user-{user}", labels=f'{{"team": "{user % 20}"}}', turns=2, accepted_ms=at_ms)
    row.update(ended_ms=at_ms + 4000, closed_ms=at_ms + 4010, budget=10**6, skill_digest="0" * 64)
    rows.tags += [(TENANT, tag, at_ms, run) for tag in ("team", f"team:{user % 20}")]
    child = ids.call_id(run, 2, 0)
    if number % 10 == 0:
        rows.run(child, TENANT).update(parent=run, skill="helper", status="completed", accepted_ms=at_ms + 9)
    for turn in range(1, CALLS_OF_A_RUN + 1):
        owner = child if number % 10 == 0 and turn > 3 else run
        _call(rows.call(ids.call_id(owner, turn, 1), TENANT, number), dice, at_ms + turn * 500, turn)


def _call(row: Row, dice: random.Random, at_ms: int, turn: int) -> None:
    asked = turn % 2 == 1
    model = dice.choice(_MODELS) if asked else ""
    spent = int(dice.lognormvariate(6, 2)) if model not in ("unpriced", "local", "") else 0
    row.update(tool="model" if asked else dice.choice(_TOOLS), status="completed", asked_ms=at_ms, granted_ms=at_ms + 2)
    row.update(ended_ms=at_ms + 400, reserved=2 * spent, settled=spent, taken=spent, input_tokens=800 * asked)
    row.update(output_tokens=40 * asked, tokens=840 * asked, unpriced=model == "unpriced", duration_ms=390, model=model)
    row.update(code="", message="", late=False, result_seq=1, estimated=False)


def _one_filter(many: int) -> tuple[Question, ...]:
    """Return what asks for pages from anywhere in the history, each with one filter."""
    return (
        lambda dice: Runs(before=_run_id(dice.randrange(many), many)),
        lambda dice: Runs(status=dice.choice(("failed", "cancelled", "running"))),
        lambda dice: Runs(skill=f"skill-{dice.randrange(40)}", before=_run_id(dice.randrange(many), many)),
        lambda dice: Runs(user=f"user-{dice.randrange(500)}"),
        lambda dice: Runs(label=f"team:{dice.randrange(20)}", before=_run_id(dice.randrange(many), many)),
        lambda dice: Runs(min_cost_micro_usd=dice.choice((10**4, 10**5, 10**6, 10**7))),
        lambda dice: Runs(max_cost_micro_usd=dice.choice((0, 10, 1000)), before=_run_id(many // 2, many)),
        lambda dice: Runs(until_ms=_END_MS - dice.randrange(DAYS) * DAY_MS),
    )


def _filters(many: int) -> tuple[Question, ...]:
    """Return what asks for pages with several filters."""
    return (
        lambda dice: Runs(
            status="failed", user=f"user-{dice.randrange(300)}", since_ms=_END_MS - dice.randrange(1, DAYS) * DAY_MS
        ),
        lambda dice: Runs(label=f"team:{dice.randrange(20)}", skill=f"skill-{dice.randrange(40)}"),
        lambda dice: Runs(skill=f"skill-{dice.randrange(40)}", status="failed", min_cost_micro_usd=10**5),
        lambda dice: Runs(max_cost_micro_usd=1000, status="completed", before=_run_id(dice.randrange(many), many)),
    )


def _percentile(store: Store, question: Question) -> float:
    dice, times = random.Random(1), []  # noqa: S311 - the same questions at every run
    for _ in range(_PAGES):
        began = time.perf_counter()
        runs(store, TENANT, question(dice))
        times.append(1000 * (time.perf_counter() - began))
    return sorted(times)[int(len(times) * 0.95)]


def _sums(many: int) -> tuple[Cost, ...]:
    """Return questions that no single sum answers."""
    week = _END_MS - 7 * DAY_MS + 3_600_000
    return (
        Cost(by=("call",), tree=_run_id(0, many)),
        Cost(by=("user", "skill"), limit=100),
        Cost(by=("user", "model"), limit=100),
        Cost(by=("skill",), since_ms=week, limit=100),
        Cost(by=("tool", "skill"), user="user-3", limit=100),
        Cost(by=("model",), label="team:3", since_ms=week, limit=100),
    )


def _seconds(store: Store, question: Cost) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        cost(store, TENANT, question)
        times.append(time.perf_counter() - began)
    return sorted(times)[1]
