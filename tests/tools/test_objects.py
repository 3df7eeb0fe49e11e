"""Blobs and files: the standard format, whole or not at all, and each owner's own."""

import asyncio
import hashlib
import os
import re
import time

import nats
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callboard.bus import Bus, PublishRefused, layout, objects, reader
from callboard.bus.registry import put_skill
from callboard.tools import Files
from callboard_contracts.errors import CallboardError
from callboard_contracts.skill import File, Skill

SIZES = (0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 3_000_000)
TREE = "01M7Z5P844PGCBRBGFXRX0T612"


@pytest.mark.parametrize("size", SIZES)
async def test_a_blob_comes_back_as_it_went(bus: Bus, size: int) -> None:
    data = os.urandom(size)
    digest = await objects.put_blob(bus, data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert await objects.get_blob(bus, digest) == data


async def test_a_blob_that_is_there_is_not_stored_again(bus: Bus) -> None:
    await objects.put_blob(bus, b"once")
    before = (await bus.api("STREAM.INFO.OBJ_blobs"))["state"]["last_seq"]
    await objects.put_blob(bus, b"once")
    assert (await bus.api("STREAM.INFO.OBJ_blobs"))["state"]["last_seq"] == before


async def test_a_blob_that_two_put_at_once_is_whole(bus: Bus) -> None:
    data = os.urandom(1_000_000)
    digests = await asyncio.gather(*(objects.put_blob(bus, data) for _ in range(5)))
    assert len(set(digests)) == 1
    assert await objects.get_blob(bus, digests[0]) == data


async def test_a_missing_blob_and_a_missing_file_are_not_found(bus: Bus) -> None:
    for asked in (objects.get_blob(bus, "0" * 64), objects.get_file(bus, TREE, "a.txt")):
        with pytest.raises(CallboardError) as caught:
            await asked
        assert caught.value.code == "not_found"


async def test_a_damaged_object_is_never_returned(bus: Bus) -> None:
    digest = await objects.put_blob(bus, os.urandom(300_000))
    found = await reader.last(bus, "OBJ_blobs", "$O.blobs.M.>")
    assert found is not None
    nuid = found.body.split(b'"nuid":"')[1].split(b'"')[0].decode()
    await bus.publish(f"$O.blobs.C.{nuid}", b"more")
    with pytest.raises(CallboardError) as caught:
        await objects.get_blob(bus, digest)
    assert caught.value.code == "internal"


@pytest.mark.parametrize("size", SIZES)
async def test_nats_py_reads_what_we_wrote(bus: Bus, fresh_broker: str, size: int) -> None:
    data = os.urandom(size)
    client = await nats.connect(fresh_broker)
    try:
        js = client.jetstream()
        blobs, artifacts = await js.object_store(layout.BLOBS), await js.object_store(layout.ARTIFACTS)
        digest = await objects.put_blob(bus, data)
        await objects.put_file(bus, TREE, "out/täst 1.bin", data)
        assert (await blobs.get(digest)).data == data
        assert (await artifacts.get(f"{TREE}/out/täst 1.bin")).data == data
        assert [info.name for info in await artifacts.list()] == [f"{TREE}/out/täst 1.bin"]
    finally:
        await client.close()


@pytest.mark.parametrize("rollup", ["all", "sub"])
async def test_nobody_can_wipe_a_bucket_with_a_header(bus: Bus, rollup: str) -> None:
    digest = await objects.put_blob(bus, b"kept")
    with pytest.raises(PublishRefused):
        await bus.publish(f"$O.{layout.BLOBS}.C.mine", b"", {"Nats-Rollup": rollup})
    assert await objects.get_blob(bus, digest) == b"kept"


async def test_files_are_listed_by_owner_newest_version_only(bus: Bus) -> None:
    for path in ("b.txt", "a/c.txt", "b.txt"):
        await objects.put_file(bus, TREE, path, f"{path} of {time.monotonic_ns()}".encode())
    await objects.put_file(bus, "01M7Z5P844PGCBRBGFXRX0T613", "other.txt", b"")
    listed = await objects.list_files(bus, TREE)
    assert [file.path for file in listed] == ["a/c.txt", "b.txt"]
    for file in listed:
        content = await objects.get_file(bus, TREE, file.path)
        assert (file.bytes, file.digest) == (len(content), hashlib.sha256(content).hexdigest())


async def test_one_purge_takes_all_of_an_owner_but_the_names(bus: Bus) -> None:
    await objects.put_file(bus, TREE, "a.txt", b"a" * 200_000)
    await objects.put_file(bus, "other", "b.txt", b"b")
    await bus.api("STREAM.PURGE.OBJ_artifacts", {"filter": f"$O.artifacts.C.{TREE}.>"})
    assert await objects.list_files(bus, TREE) == []
    assert [file.path for file in await objects.list_files(bus, "other")] == ["b.txt"]
    assert await objects.get_file(bus, "other", "b.txt") == b"b"


async def test_a_file_that_is_too_large_is_refused_before_anything_is_sent(bus: Bus) -> None:
    with pytest.raises(CallboardError) as caught:
        await objects.put_file(bus, TREE, "big", bytes(objects.MAX_FILE_BYTES + 1))
    assert caught.value.code == "file_too_large"
    assert (await bus.api("STREAM.INFO.OBJ_artifacts"))["state"]["messages"] == 0


async def test_a_run_sees_its_own_files_before_those_of_its_skill(bus: Bus) -> None:
    digest = await objects.put_blob(bus, b"skill's")
    files = tuple(File(path=path, digest=digest, bytes=7) for path in ("both.txt", "skill.txt"))
    skill = await put_skill(bus, Skill(name="s", description="d", prompt="p", files=files))
    seen = Files(bus, TREE, skill)
    await seen.write("both.txt", b"own")
    await seen.write("own.txt", b"own")
    assert [(file.path, file.source) for file in await seen.list()] == [
        ("both.txt", "run"),
        ("own.txt", "run"),
        ("skill.txt", "skill"),
    ]
    assert [file.path for file in await seen.list("o")] == ["own.txt"]
    assert await seen.read("both.txt") == b"own"
    assert await seen.read("skill.txt") == b"skill's"
    with pytest.raises(CallboardError):
        await seen.read("neither.txt")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../secret",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "..",
        "a\0b",
        "a\nb",
        "C:\\x",
        "c:/x",
        "a\\b",
        "x" * 513,
        " a",
        "a /b",
        "a\u2028b",
        "\ud800",
    ],
)
def test_a_path_that_leads_outside_or_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(CallboardError) as caught:
        objects.clean_path(path)
    assert caught.value.code == "invalid_request"


def test_two_spellings_of_one_name_are_one_path() -> None:
    assert objects.clean_path("Bu\u0308ro/a.txt") == objects.clean_path("B\u00fcro/a.txt") == "B\u00fcro/a.txt"


@given(st.text(max_size=40))
def test_a_clean_path_stays_as_it_is_and_below_its_folder(text: str) -> None:
    try:
        path = objects.clean_path(text)
    except CallboardError:
        return
    assert objects.clean_path(path) == path
    assert not path.startswith("/")
    assert all(part not in ("", ".", "..") for part in path.split("/"))


@given(st.text(max_size=20).filter(lambda text: not re.fullmatch("[A-Za-z0-9_-]+", text)))
@example("a.b")
@example("*")
@example("x" * 161)
def test_what_cannot_own_files_is_refused(owner: str) -> None:
    async def ask() -> None:
        await objects.list_files(None, owner)  # type: ignore[arg-type]

    with pytest.raises(CallboardError):
        asyncio.run(ask())
