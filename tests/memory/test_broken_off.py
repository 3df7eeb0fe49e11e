"""Storing a document is broken off at each point: readers see the old version or the new one, then the new one."""

import asyncio
from pathlib import Path

import pytest

from callboard import crash
from callboard.bus import Conflict, layout, reader
from callboard_contracts import memory, subjects, wire
from callboard_services.memory.house import Memory
from tests.fault.disk import disk, missing
from tests.memory.kit import document, fact, found, ids, remembering

pytestmark = pytest.mark.anyio

OLD = document("manual", [f"page {n} about screws " * 30 for n in range(120)])
NEW = document("manual", [f"page {n} about nails " * 30 for n in range(90)])


class DiedError(Exception):
    """The process is gone."""


async def seen(house: Memory, tenant: str) -> set[str]:
    """Return the words that tell the versions apart, of everything that is shown."""
    table = await house.current(tenant)
    texts = [row["text"] for row in await table.find("true", ["text"])]
    return {word for text in texts for word in ("screws", "nails") if word in text} | {str(len(texts))}


@pytest.mark.parametrize(
    ("point", "then"), [("memory.after_parts", {"screws", "120"}), ("memory.after_document", {"nails", "90"})]
)
async def test_a_document_is_the_old_one_or_the_new_one_and_never_a_mixture(
    fresh_broker: str, tmp_path: Path, tenant: str, monkeypatch: pytest.MonkeyPatch, point: str, then: set[str]
) -> None:
    async with remembering(fresh_broker, tmp_path) as house:
        await house.writer.ingest(tenant, OLD)
        assert await seen(house, tenant) == {"screws", "120"}
        with monkeypatch.context() as patch:
            patch.setattr(crash, "point", _dying(point))
            with pytest.raises(DiedError):
                await house.writer.ingest(tenant, NEW)
        assert await seen(house, tenant) == then
        house.follower.anew()
        assert await seen(house, tenant) == then
        await house.writer.ingest(tenant, NEW)
        assert await seen(house, tenant) == {"nails", "90"}
        parts = [m async for m in reader.scan(house.bus, layout.MEMORY, subjects.memory(tenant, "part", ">"))]
        assert not any(b"screws" in part.body for part in parts)


def _dying(at: str):  # type: ignore[no-untyped-def]
    def point(name: str) -> None:
        if name == at:
            raise DiedError(name)

    return point


async def test_a_document_that_is_forgotten_while_parts_are_broken_off_leaves_nothing(
    fresh_broker: str, tmp_path: Path, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with remembering(fresh_broker, tmp_path) as house:
        await house.writer.ingest(tenant, OLD)
        where = subjects.memory(tenant, "document", OLD.id)
        gone = memory.Forgotten(id=OLD.id, at_ms=1)
        with monkeypatch.context() as patch:
            patch.setattr(crash, "point", _dying("memory.after_erase"))
            with pytest.raises(DiedError):
                await house.writer.forget(tenant, where, gone)
        await house.writer.forget(tenant, where, gone)
        assert await ids(house, tenant) == []
        assert [m async for m in reader.scan(house.bus, layout.MEMORY, subjects.memory(tenant, "part", ">"))] == []


async def test_of_two_versions_that_are_stored_at_once_one_is_whole_and_the_other_is_told(
    fresh_broker: str, tmp_path: Path, tenant: str
) -> None:
    async with remembering(fresh_broker, tmp_path) as house:
        works = (house.writer.ingest(tenant, OLD), house.writer.ingest(tenant, NEW))
        outcomes = await asyncio.gather(*works, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"], outcomes
        assert await seen(house, tenant) == ({"screws", "120"} if outcomes[0] is None else {"nails", "90"})


async def test_a_rebuild_brings_no_document_back_that_is_forgotten_meanwhile(
    fresh_broker: str, tmp_path: Path, tenant: str
) -> None:
    async with remembering(fresh_broker, tmp_path) as house:
        await house.writer.ingest(tenant, OLD)
        where = subjects.memory(tenant, "document", OLD.id)
        stored = await reader.last(house.bus, layout.MEMORY, where)
        assert stored is not None
        await house.writer.forget(tenant, where, memory.Forgotten(id=OLD.id, at_ms=1))
        with pytest.raises(Conflict):
            await house.writer.ingest(tenant, OLD, instead_of=stored.seq)
        assert await ids(house, tenant) == []
        assert [m async for m in reader.scan(house.bus, layout.MEMORY, subjects.memory(tenant, "part", ">"))] == []


async def test_what_cannot_be_read_goes_to_the_dead_letters_and_stops_nobody(
    fresh_broker: str, tmp_path: Path, tenant: str
) -> None:
    async with remembering(fresh_broker, tmp_path) as house:
        await house.bus.publish(subjects.memory(tenant, "fact", "bad"), b'{"type":"memory.remembered.v9"}')
        broken = memory.Remembered(
            id="b", kind="fact", text="x", origin=fact("b", "x").origin, embedder="words@1", vector="!"
        )
        await house.bus.publish(subjects.memory(tenant, "fact", "b"), wire.encode(broken))
        await house.writer.remember(tenant, fact("good", "is found"))
        assert "good" in await ids(house, tenant)
        letter = await reader.last(house.bus, layout.DEAD, subjects.dead(tenant, "memory"))
        assert letter is not None


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
async def test_a_full_disk_under_the_tables_is_waited_out_and_costs_nothing(
    fresh_broker: str, tmp_path: Path, tenant: str
) -> None:
    async with disk(tmp_path, 32) as own, remembering(fresh_broker, own.folder / "data") as house:
        await house.writer.remember(tenant, fact("a", "before"))
        assert await ids(house, tenant) == ["a"]
        own.fill()
        await house.writer.remember(tenant, fact("b", "meanwhile"))  # it is stored by the broker, elsewhere
        assert not await house.follower.caught_up(tenant, 2)
        own.free()
        assert {hit.text for hit in await found(house, tenant)} == {"before", "meanwhile"}
