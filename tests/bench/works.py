"""Each work in one profile with one sync: what is started for it, the references beside it, the figures."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median

import msgspec

from tests.bench import history, long, stubs
from tests.bench.bars import Figures
from tests.bench.recall import recall
from tests.bench.report import Row
from tests.bench.scale import CALLS, CONCURRENCY, scale
from tests.bench.system import Bench, Profile, Setup, What, running
from tests.bench.w1 import w1
from tests.bench.w2 import CHILDREN, REPEATS, w2
from tests.bench.w3 import ACK_WAIT_S, w3
from tests.bench.w3 import RUNS as W3_RUNS
from tests.bench.w4 import RUNS as W4_RUNS
from tests.bench.w4 import w4

EVERY: tuple[What, ...] = ("floor", "chain", "callboard")
_SECONDS = 4
"""How long the executors of `scale` are kept busy."""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """The profile, the sync and the sizes of a measurement."""

    folder: Path
    profile: Profile
    sync: str
    groups: int
    runs: int
    """Of W1's throughput; the other works make so many at most."""
    children: int = CHILDREN
    few: int = 10_000
    many: int = 100_000
    woken_s: float = long.WOKEN_S
    """How long `memory` and `parked` wait for the timers of the runs before them."""
    scaled: int = 4
    """Executor processes of `scale`."""
    repeat: int = 1

    def setup(self, what: What, *models: str) -> Setup:
        """Return how something is run here."""
        return Setup(what=what, profile=self.profile, sync=self.sync, groups=self.groups, specs=stubs.specs(*models))


Measured = Callable[[Bench], Awaitable[dict[str, float]]]


async def _beside(work: str, where: Where, setups: Sequence[Setup], measured: Measured) -> Row:
    """Measure the references and the system one after the other, as often as wanted; medians count."""
    found: dict[str, list[Figures]] = {setup.what: [] for setup in setups}
    for again in range(where.repeat):
        for setup in setups:
            async with running(setup, where.folder / str(again)) as bench:
                found[setup.what].append(await measured(bench))
    return _row(work, where, {what: _medians(figures) for what, figures in found.items()})


def _medians(figures: Sequence[Figures]) -> Figures:
    return {key: median(each[key] for each in figures) for key in figures[0]}


def _row(work: str, where: Where, found: dict[str, Figures]) -> Row:
    own = found.pop("callboard")
    return Row(work=work, profile=where.profile, sync=where.sync, groups=where.groups, figures=own, references=found)


async def measure_w1(where: Where) -> Row:
    """Latency, throughput and what they cost."""
    setups = [where.setup(what, "rounds-10") for what in EVERY]
    return await _beside("w1", where, setups, lambda bench: w1(bench, where.runs))


async def measure_w2(where: Where) -> Row:
    """Fan-out."""
    setups = [where.setup(what, f"fan-{where.children}", "rounds-1") for what in EVERY]
    repeats = min(REPEATS, where.runs)
    return await _beside("w2", where, setups, lambda bench: w2(bench, where.children, repeats))


async def measure_w3(where: Where) -> Row:
    """Resumption after a kill."""
    whats: tuple[What, ...] = ("chain", "callboard")
    setups = [
        msgspec.structs.replace(where.setup(what, "rounds-10"), ack_wait_s=ACK_WAIT_S, apart=True, tell=True)
        for what in whats
    ]
    return await _beside("w3", where, setups, lambda bench: w3(bench, min(W3_RUNS, where.runs)))


async def measure_w4(where: Where) -> Row:
    """Delivery."""
    setups = [where.setup(what, "rounds-3") for what in EVERY]
    return await _beside("w4", where, setups, lambda bench: w4(bench, min(W4_RUNS, where.runs)))


async def measure_scale(where: Where) -> Row:
    """Executors from one process to several."""

    async def measured(bench: Bench) -> dict[str, float]:
        one, several = [await scale(bench, count, _runs(where, count)) for count in (1, where.scaled)]
        return {"calls_per_s_of_1": one, "calls_per_s": several, "ratio": several / one}

    return await _beside("scale", where, [where.setup("callboard", f"slow-{CALLS}", "slow-1")], measured)


def _runs(where: Where, processes: int) -> int:
    """Return how many runs keep so many processes busy for some seconds."""
    return min(where.runs, processes * CONCURRENCY * 20 * _SECONDS // CALLS)


async def measure_memory(where: Where) -> Row:
    """Memory after many small runs."""
    setup = where.setup("callboard", "rounds-1")
    return await _beside(
        "memory", where, [setup], lambda bench: long.memory(bench, where.few, where.many, where.woken_s)
    )


async def measure_parked(where: Where) -> Row:
    """One run beside many parked ones."""
    setup = where.setup("callboard", "rounds-10", "never-1")
    probes = min(100, where.runs)
    return await _beside("parked", where, [setup], lambda bench: long.parked(bench, where.many, probes, where.woken_s))


async def measure_recall(where: Where) -> Row:
    """Recall over many rows, and what building the tables takes."""
    found = await recall(where.folder, where.sync, where.many, where.runs)
    return _row("recall", where, {"callboard": found})


async def measure_history(where: Where) -> Row:
    """A ledger alone, with a history ten times as long as what the other works make at most."""
    found = await asyncio.to_thread(history.measure, where.folder, 10 * where.many)
    return _row("history", where, {"callboard": found})


WORKS: dict[str, Callable[[Where], Awaitable[Row]]] = {
    "w1": measure_w1,
    "w2": measure_w2,
    "w3": measure_w3,
    "w4": measure_w4,
    "scale": measure_scale,
    "memory": measure_memory,
    "parked": measure_parked,
    "history": measure_history,
    "recall": measure_recall,
}
