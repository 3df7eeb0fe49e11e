"""What is busy keeps nobody waiting who asks for something else."""

import asyncio
from pathlib import Path

from callboard.bus import Bus, layout
from callboard_contracts import subjects, wire
from callboard_contracts.memory import Forgotten
from callboard_services.memory.embedding import BuiltIn
from callboard_services.memory.follow import Follower
from callboard_services.memory.tables import Tables


async def test_a_question_is_embedded_between_the_chunks_of_a_book_and_not_after_them() -> None:
    embedder, done = BuiltIn(), list[str]()

    async def embed(name: str, *texts: str) -> list[str]:
        found = await embedder.embed(texts)
        done.append(name)
        return found

    await embed("first", "The model is loaded.")
    book = asyncio.create_task(embed("book", *(f"Chunk {number} of a long book." for number in range(60))))
    await asyncio.sleep(0)  # it begins
    await embed("question", "Where was I?")
    vectors = await book
    assert done == ["first", "question", "book"]
    assert vectors[:2] == await embed("alone", "Chunk 0 of a long book.", "Chunk 1 of a long book.")


async def test_a_question_about_one_kind_waits_for_what_is_remembered_of_that_kind_alone(
    fresh_broker: str, tmp_path: Path
) -> None:
    async with await Bus.connect(fresh_broker, name="memory") as bus:
        await layout.provision(bus, 1)
        follower = Follower(bus, Tables(str(tmp_path), "none", 1))
        seqs = [await _remembered(bus, kind) for kind in ("preference", "episode")]
        follower.position, follower.opened = seqs[0], True
        assert await follower.caught_up("default", 0.05, kinds=("preference",))
        assert not await follower.caught_up("default", 0.05, kinds=("preference", "episode"))
        assert not await follower.caught_up("default", 0.05)
        await _remembered(bus, "quarantine")
        assert not await follower.caught_up("default", 0.05, kinds=("preference",))


async def _remembered(bus: Bus, kind: str) -> int:
    where = subjects.memory("default", kind, "x")
    return (await bus.publish(where, wire.encode(Forgotten(id="x", at_ms=1)))).seq
