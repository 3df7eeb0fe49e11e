"""The server as a process: ready, stopped, never left behind, one per data folder."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from callboard.bus import Bus, layout
from callboard.server import FolderLock, passwords, start_server
from callboard.server.config import Plan
from callboard.service import groups_in_force
from callboard.settings import Settings
from callboard_contracts.errors import CallboardError


async def test_a_started_server_takes_connections_and_keeps_its_streams_over_a_restart(tmp_path: Path) -> None:
    plan = Plan(store=tmp_path / "nats")
    for groups in (2, 5):
        async with start_server(plan) as server, await Bus.connect(server.url, name="test") as bus:
            assert await layout.provision(bus, groups) == 2
        assert server.process.returncode is not None


async def test_a_service_of_a_newer_version_adds_the_streams_and_durables_that_an_older_store_lacks(
    tmp_path: Path,
) -> None:
    plan = Plan(store=tmp_path / "nats")
    async with start_server(plan) as server, await Bus.connect(server.url, name="test") as bus:
        await layout.provision(bus, 2)
        await bus.api(f"STREAM.DELETE.{layout.NOTICES}")
        await bus.api(f"CONSUMER.DELETE.{layout.journal(1)}.approval")
        assert await layout.missing(bus, 2) == [layout.NOTICES]
        assert await groups_in_force(bus, Settings(groups=5)) == 2
        assert await layout.missing(bus, 2) == []
        await bus.api(f"CONSUMER.INFO.{layout.journal(1)}.approval")


async def test_what_the_shipped_configuration_acknowledges_is_on_disk(tmp_path: Path) -> None:
    import httpx

    async with start_server(Plan(store=tmp_path / "nats")) as server, httpx.AsyncClient() as http:
        jetstream = (await http.get(f"{server.monitoring}/varz")).json()["jetstream"]["config"]
        assert jetstream["sync_always"] is True


async def test_a_port_that_is_taken_is_said_in_the_servers_words(tmp_path: Path) -> None:
    async with start_server(Plan(store=tmp_path / "one")) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(CallboardError, match=str(port)):
            async with start_server(Plan(store=tmp_path / "two", port=port)):
                pass


_PARENT = """
import asyncio, sys
from pathlib import Path
from callboard.server import FolderLock, start_server
from callboard.server.config import Plan

async def main(data):
    with FolderLock(data) as lock:
        async with start_server(Plan(store=data / "nats"), inherit=lock.handle) as server:
            print(server.process.pid, flush=True)
            await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
async def test_a_server_does_not_outlive_a_killed_parent_and_the_folder_is_free_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_PARENT), str(tmp_path)]
    parent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    server = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    with pytest.raises(CallboardError, match=f"process {parent.pid}"), FolderLock(tmp_path):
        pass
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    with FolderLock(tmp_path):  # waits for the server, which holds the lock as long as it lives
        assert not lives(server)


def lives(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_stale_lock_file_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("999999999\n")
    with FolderLock(tmp_path):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(CallboardError, match="data folder"), FolderLock(tmp_path / "data"):
        pass


def test_passwords_survive_restarts_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    first = passwords(tmp_path, ["guard", "planner"])
    assert passwords(tmp_path, ["guard", "planner"]) == first
    assert len(set(first.values())) == 2
    assert all(len(password) >= 43 for password in first.values())
    assert stat.S_IMODE((tmp_path / "users.json").stat().st_mode) == 0o600


def test_a_new_user_gets_a_password_and_the_others_keep_theirs(tmp_path: Path) -> None:
    first = passwords(tmp_path, ["guard"])
    assert passwords(tmp_path, ["guard", "memory"])["guard"] == first["guard"]
