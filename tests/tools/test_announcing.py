"""A process says what it is in NATS micro's own format, and finds the system that runs on its machine."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import nats
import pytest
from nats.micro import add_service, service

from callboard import discovery
from callboard.bus import Bus
from callboard.bus.micro import announce
from callboard.discovery import System, tool_url


async def test_discovery_reads_it_as_one_of_its_own(bus: Bus, fresh_broker: str) -> None:
    mine = await announce(
        bus, name="files-read", version="1.2.3", description="Read.", metadata={"callboard.tool": "{}"}, subject="a.>"
    )
    client = await nats.connect(fresh_broker)
    theirs = await add_service(client, name="other", version="1.0.0", description="Other.")
    try:
        await theirs.add_endpoint(name="e", handler=lambda request: request.respond(b""))
        answers = {
            verb: {
                found["name"]: found
                for answer in await bus.gather(f"$SRV.{verb}", b"", window_s=0.1)
                if (found := msgspec.json.decode(answer.body))
            }
            for verb in ("PING", "INFO", "STATS")
        }
    finally:
        await theirs.stop()
        await client.close()
    for found in answers.values():
        assert set(found) == {"files-read", "other"}
        assert set(found["files-read"]) == set(found["other"])
        assert found["files-read"]["type"] == found["other"]["type"]
    for verb in ("INFO", "STATS"):
        ours, reference = (answers[verb][name]["endpoints"][0] for name in ("files-read", "other"))
        assert set(ours) == set(reference)
    info = service.ServiceInfo.from_dict(answers["INFO"]["files-read"])
    assert (info.name, info.id, info.version, info.description) == ("files-read", mine.id, "1.2.3", "Read.")
    assert info.metadata == {"callboard.tool": "{}"}
    await mine.stop()


async def test_what_was_done_is_counted(bus: Bus) -> None:
    announcement = await announce(bus, name="counter", version="1.0.0", description="Count.")
    announcement.count(0.5)
    announcement.count(1.5, "tool_failed")
    answer = await bus.request(f"$SRV.STATS.counter.{announcement.id}", b"")
    (stats,) = msgspec.json.decode(answer.body)["endpoints"]
    assert (stats["num_requests"], stats["num_errors"], stats["last_error"]) == (2, 1, "tool_failed")
    assert (stats["processing_time"], stats["average_processing_time"]) == (2_000_000_000, 1_000_000_000)
    await announcement.stop()
    assert await bus.gather("$SRV.PING.counter", b"", window_s=0.05) == []


def running(data: Path, pid: int = 0) -> System:
    return System(
        http="http://127.0.0.1:8420",
        nats_client_url="nats://client:c@127.0.0.1:4222",
        nats_tool_url="nats://tool:t@127.0.0.1:4222",
        pid=pid or os.getpid(),
        data=data,
    )


def test_a_running_system_is_found_by_its_folder_and_its_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    assert discovery.system(tmp_path) is None
    discovery.announce(running(tmp_path))
    assert discovery.system(tmp_path) == running(tmp_path)
    assert stat.S_IMODE((tmp_path / "system.json").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "system.json"]
    discovery.withdraw(running(tmp_path))
    assert discovery.system(tmp_path) is None


def test_a_system_whose_process_is_gone_is_none(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    discovery.announce(running(tmp_path, gone.pid))
    assert discovery.system(tmp_path) is None


def test_a_system_never_removes_another_s_file(tmp_path: Path) -> None:
    discovery.announce(running(tmp_path))
    discovery.withdraw(running(tmp_path, pid=1))
    assert discovery.system(tmp_path) is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_file_that_cannot_be_read_is_no_system(text: str, tmp_path: Path) -> None:
    (tmp_path / "system.json").write_text(text)
    assert discovery.system(tmp_path) is None


def test_an_argument_wins_then_the_environment_then_the_running_system(tmp_path: Path) -> None:
    here = {"CALLBOARD_DATA": str(tmp_path)}
    assert tool_url(None, here) == "nats://127.0.0.1:4222"
    discovery.announce(running(tmp_path))
    assert tool_url(None, here) == "nats://tool:t@127.0.0.1:4222"
    assert tool_url(None, here | {"CALLBOARD_NATS": "nats://env"}) == "nats://env"
    assert tool_url("nats://given", here | {"CALLBOARD_NATS": "nats://env"}) == "nats://given"


@pytest.mark.parametrize(("wanted", "reached"), [("a", 1), ("a:3", 3), ("b", 5), ("", 5)])
def test_a_process_dies_at_the_named_point_and_nowhere_else(wanted: str, reached: int, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    source = f"""
from callboard import crash
for n in range(1, 6):
    open({str(trace)!r}, "a").write("x")
    crash.point("a")
"""
    process = subprocess.run([sys.executable, "-c", source], env={**os.environ, "CRASH_AT": wanted}, check=False)
    assert len(trace.read_text()) == reached
    assert process.returncode == (0 if reached == 5 else 137)
