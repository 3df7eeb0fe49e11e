"""The memory service in this process, over a broker, without agents; with vectors that cost nothing to make."""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from callboard.bus import Bus, layout
from callboard.service import Context
from callboard.settings import Settings
from callboard_contracts import memory, subjects
from callboard_services.memory import keeping, parts, vector
from callboard_services.memory.embedding import Embedder
from callboard_services.memory.house import Memory
from callboard_services.memory.query import Query, Run, Whole
from callboard_services.memory.recall import Hit, recall
from callboard_services.memory.rows import document_id
from callboard_services.memory.tables import Tables

GROUPS = 2
DIMENSIONS = 128


class Words:
    """An embedder that knows which words a text has, and nothing of what they mean."""

    def __init__(self, name: str = "words@1", dimensions: int = DIMENSIONS) -> None:
        self.name = name
        self.dimensions = dimensions
        self.count = 0
        """How many texts it was given."""

    async def embed(self, texts: Sequence[str]) -> list[str]:
        self.count += len(texts)
        return [vector.pack(self._of(text)) for text in texts]

    def _of(self, text: str) -> Any:
        found: Any = np.full(self.dimensions, 1e-3)
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(hashlib.sha256(f"{self.name}{word}".encode()).digest()[:4], "big")
            found = found + np.random.default_rng(seed).standard_normal(self.dimensions)
        return found


@asynccontextmanager
async def remembering(
    url: str, data: Path, embedder: Embedder | None = None, *, endings: bool = False
) -> AsyncIterator[Memory]:
    """Run what keeps the tables and answers questions, until the block ends."""
    async with await Bus.connect(url, name="memory") as bus:
        await layout.provision(bus, GROUPS)
        house = parts.furnished(Context(bus, GROUPS, Settings(nats=url, data=data)), embedder or Words())
        answers, ends = parts.Answers(house), parts.Endings(house)
        task = asyncio.create_task(keeping.keep(house))
        await answers.start()
        if endings:
            await ends.start()
        try:
            yield house
        finally:
            await ends.stop()
            await answers.stop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await house.tasks.stop()


def fact(id_: str, text: str, **origin: Any) -> memory.Remembered:
    """Return a fact of the workspace, unless its origin says otherwise."""
    given = {"scope": "workspace", "trust": "person", "at_ms": 1_767_225_600_000} | origin
    return memory.Remembered(id=id_, kind="fact", text=text, origin=msgspec.convert(given, memory.Origin))


def document(source: str, texts: Sequence[str], **origin: Any) -> memory.Ingested:
    """Return a document of some chunks, as whoever reads it gives it to the writer."""
    given = {"scope": "workspace", "trust": "web", "at_ms": 1_767_225_600_000, "source": source} | origin
    chunks = tuple(memory.Chunk(text=text, place=memory.Place(line=n + 1)) for n, text in enumerate(texts))
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    origin_ = msgspec.convert(given, memory.Origin)
    id_ = document_id(origin_)
    return memory.Ingested(id=id_, digest=digest, title=source, origin=origin_, count=len(chunks), chunks=chunks)


def sees(run: str = "r", user: str = "", skill: str = "", workspace: str = memory.WORKSPACE) -> Run:
    """Return what a run may see."""
    return Run(workspace, run, user, skill)


async def found(house: Memory, tenant: str, text: str = "", sight: Run | Whole | None = None, **more: Any) -> list[Hit]:
    """Return what is recalled, by anybody who may see all."""
    return await recall(house, Query(tenant, sight or Whole(), text, **more))


async def ids(house: Memory, tenant: str, text: str = "", sight: Run | Whole | None = None, **more: Any) -> list[str]:
    """Return the ids of what is recalled."""
    return [hit.id for hit in await found(house, tenant, text, sight, **more)]


async def ask(bus: Bus, tenant: str, question: str, **body: Any) -> Any:
    """Ask as the gateway does."""
    answer = await bus.request(subjects.ask(tenant, "memory", question), msgspec.json.encode(body), timeout_s=20)
    return msgspec.json.decode(answer.body)


async def eventually(holds: Callable[[], bool], within_s: float = 10.0) -> float:
    """Wait until something holds, and return how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - it is another task, or process, that makes it hold
            await asyncio.sleep(0.01)
    return time.monotonic() - began


def opened(folder: Path, embedder: Embedder | None = None) -> Tables:
    """Return tables in a folder, not open yet."""
    made_by = embedder or Words()
    return Tables(str(folder), made_by.name, made_by.dimensions)
