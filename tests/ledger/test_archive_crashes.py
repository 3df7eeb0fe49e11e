"""A ledger that dies anywhere on the way from the journal to a file loses nothing, and purges nothing too early."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callboard.bus import Bus
from tests.integration.processes import CRASHED, Host
from tests.ledger.archive import SOON, folded, in_files, in_journal, left, told, write_tree
from tests.ledger.conftest import run_id

RUNS = [run_id(number) for number in range(4)]
Messages = list[tuple[int, str, bytes]]


@pytest.fixture
async def host(fresh_broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    monkeypatch.setenv("CALLBOARD_RETENTION_S", str(SOON))
    host = Host(fresh_broker, tmp_path, {})
    yield host
    await host.close()


async def written(bus: Bus) -> dict[str, Messages]:
    """Write the trees, and return what the journal holds of them."""
    for one in RUNS:
        await write_tree(bus, one)
    return {one: await in_journal(bus, one) for one in RUNS}


async def crashed(host: Host, point: str) -> None:
    """Run a ledger until it dies at a point."""
    ledger = await host.start("ledger", crash_at=point)
    assert await ledger.ended() == CRASHED


def archive(host: Host) -> Path:
    return host.data / "archive"


async def finished(bus: Bus, host: Host, before: dict[str, Messages]) -> None:
    """Run a ledger that does not die: then every message is in a file, once, and the tables hold every call."""
    await host.start("ledger")
    await left(bus, *RUNS)
    for one in RUNS:
        assert in_files(archive(host), one) == before[one]
        found = await told(bus, one)
        assert (found["status"], found["cost_micro_usd"], len(found["breakdown"])) == ("completed", 206, 4)
        assert (await folded(bus, one))["archived"]


async def test_before_the_file_has_its_name_everything_is_in_the_journal(bus: Bus, host: Host) -> None:
    before = await written(bus)
    await crashed(host, "ledger.before_archive_file")
    assert {one: await in_journal(bus, one) for one in RUNS} == before
    assert not list(archive(host).glob("*.parquet"))
    await finished(bus, host, before)
    assert len(list(archive(host).glob("*.parquet"))) == 1
    assert not list(archive(host).glob(".*.part"))


async def test_a_file_that_is_not_entered_yet_is_entered_and_not_written_again(bus: Bus, host: Host) -> None:
    before = await written(bus)
    await crashed(host, "ledger.after_archive_file")
    assert {one: await in_journal(bus, one) for one in RUNS} == before
    files = list(archive(host).glob("*.parquet"))
    assert len(files) == 1
    await finished(bus, host, before)
    assert list(archive(host).glob("*.parquet")) == files


@pytest.mark.parametrize("nth", [1, 3])
async def test_a_purge_that_was_cut_short_goes_on(bus: Bus, host: Host, nth: int) -> None:
    before = await written(bus)
    await crashed(host, f"ledger.after_purge:{nth}")
    after = {one: await in_journal(bus, one) for one in RUNS}
    assert sum(len(after[one]) < len(before[one]) for one in RUNS) == nth
    for one in RUNS:
        assert in_files(archive(host), one) == before[one]
    await finished(bus, host, before)


async def test_without_its_database_a_ledger_that_died_finds_everything_in_its_files(bus: Bus, host: Host) -> None:
    before = await written(bus)
    await crashed(host, "ledger.after_purge:2")
    for file in host.data.glob("ledger.db*"):
        file.unlink()
    await finished(bus, host, before)
