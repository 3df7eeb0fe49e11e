"""Recall over many rows: what another process remembered, found by a process that starts with an empty folder.

The texts are made of words as frequent as words are, the vectors are random; questions are embedded by the built-in
model. The service is a process of its own, so folding, indexing and answering share the machine with nothing else.
"""

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from callboard import embed
from callboard.bus import Bus, layout
from callboard.server import start_server
from callboard.server.config import Plan
from callboard_contracts import memory, subjects, wire
from callboard_services.memory import vector
from tests.bench.measure import cpu_s, quantile, rss_mib

TENANT = "bench"
QUESTIONS = 300
WRITES = 50
WORDS = 20_000
LENGTH = 60
_AT_ONCE = 256
_SEEN_BY = {"workspace": memory.WORKSPACE, "run": "r", "user": "anna"}


async def recall(folder: Path, sync: str, rows: int, most: int) -> dict[str, float]:
    """Remember rows, start the service on them, and ask it, at most so often."""
    async with (
        start_server(Plan(store=folder / "nats", sync=sync)) as server,
        await Bus.connect(server.url, name="memory") as bus,
    ):
        await layout.provision(bus, 2)
        await _remembered(bus, rows)
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "callboard_services.memory", "--nats", server.url, "--data", str(folder),
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            folded_s = await _until(bus, began, lambda stats: stats.get("rows", 0) >= rows)
            indexed_s = await _until(bus, began, lambda stats: stats.get("indexed", False))
            before = cpu_s(process.pid)
            times = await _asked(bus, min(QUESTIONS, most), min(8, rows // 100))
            return {
                "folded_s": folded_s,
                "indexed_s": indexed_s,
                "recall_p50_ms": quantile(times, 0.5),
                "recall_p95_ms": quantile(times, 0.95),
                "recall_cpu_ms": (cpu_s(process.pid) - before) / len(times) * 1000,
                "visible_p99_ms": await _visible(bus, min(WRITES, most)),
                "service_mib": rss_mib(process.pid),
            }
        finally:
            process.terminate()
            await process.wait()


async def _until(bus: Bus, began: float, holds: Any) -> float:
    while not holds(await _ask(bus, "stats")):  # noqa: ASYNC110 - another process makes it hold
        await asyncio.sleep(0.25)
    return time.monotonic() - began


async def _ask(bus: Bus, question: str, **body: Any) -> Any:
    async with asyncio.timeout(600):
        while True:
            try:
                where = subjects.ask(TENANT, "memory", question)
                return msgspec.json.decode((await bus.request(where, wire.encode(body), timeout_s=60)).body)
            except Exception:  # noqa: BLE001 - it is only just starting
                await asyncio.sleep(0.1)


async def _remembered(bus: Bus, rows: int) -> None:
    dice = random.Random(1)  # noqa: S311 - no secret
    headers = {wire.TYPE: wire.type_of(memory.Remembered)}
    for start in range(0, rows, _AT_ONCE):
        said = [_row(dice, n) for n in range(start, min(start + _AT_ONCE, rows))]
        places = [subjects.memory(TENANT, "fact", one.id) for one in said]
        await asyncio.gather(
            *(bus.publish(p, wire.encode(s), headers, timeout_s=60) for p, s in zip(places, said, strict=True))
        )


def _row(dice: random.Random, n: int) -> memory.Remembered:
    direction = np.random.default_rng(n).standard_normal(embed.DIMENSIONS)
    return memory.Remembered(
        id=f"{n:08d}",
        kind="fact",
        text=_text(dice, LENGTH),
        origin=memory.Origin(scope="workspace", trust="agent", source=f"source-{n % 1000}", at_ms=n),
        tags=(f"t{n % 20}",),
        embedder=embed.NAME,
        vector=vector.pack(direction.tolist()),
    )


def _text(dice: random.Random, length: int) -> str:
    """Return words whose frequencies fall as their ranks rise."""
    return " ".join(f"w{int(WORDS ** dice.random())}" for _ in range(length))


async def _asked(bus: Bus, count: int, found: int) -> list[float]:
    """Ask one question after the other, and return how long the answers took, in ms."""
    dice, times = random.Random(2), list[float]()  # noqa: S311 - no secret
    for n in range(count + 20):
        began = time.perf_counter()
        answer = await _ask(bus, "recall", text=_text(dice, 6), seen_by=_SEEN_BY)
        if n >= 20:  # the first ones load the model
            times.append((time.perf_counter() - began) * 1000)
        if len(answer["found"]) < found:
            raise RuntimeError(f"{found} rows were expected: {answer}")
    return times


async def _visible(bus: Bus, count: int) -> float:
    """Return how long what is remembered took to be found, the slowest but one, in ms."""
    times = []
    for n in range(count):
        began = time.perf_counter()
        said = await _ask(bus, "remember", text=f"visible{n} is here", source=f"visible-{n}")
        found = await _ask(bus, "recall", source=f"visible-{n}")
        if said["id"] not in [hit["id"] for hit in found["found"]]:
            raise RuntimeError("what was acknowledged was not found")
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[-2]
