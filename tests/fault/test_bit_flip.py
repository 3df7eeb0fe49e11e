"""One bit of the journal flips while the system is down: `callboard up` tells, and does not go on silently."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from callboard.server import marks
from tests.fault.house import WORK
from tests.fault.up import CLEAN, command, up

pytestmark = pytest.mark.slow
GOALS = 15
FLIPS = 6


def refused(data: Path) -> str:
    """Try to start, and return what was said; empty when it started."""
    said = data.parent / "said.txt"
    with (
        said.open("w") as file,
        subprocess.Popen(command(data), stdout=subprocess.PIPE, stderr=file, text=True, env=CLEAN) as process,
    ):
        assert process.stdout is not None
        started = process.stdout.readline()
        if started:
            process.send_signal(signal.SIGTERM)
        code = process.wait(40)
    assert bool(started) == (code == 0), said.read_text()
    return "" if started else said.read_text()


def run_goals(http: str) -> None:
    with httpx.Client(base_url=http, timeout=20) as client:
        runs = [client.post("/v1/goals", json={"objective": "work"}).json()["run"] for _ in range(GOALS)]
        for run in runs:
            with client.stream("GET", f"/v1/runs/{run}/events") as events:
                events.read()


def flip(data: Path, dice: random.Random) -> None:
    """Flip one bit of a journal, anywhere."""
    blocks = sorted((data / "nats").rglob("JOURNAL-*/msgs/*.blk"))
    block = dice.choice([one for one in blocks if one.stat().st_size])
    body = bytearray(block.read_bytes())
    at = dice.randrange(len(body))
    body[at] ^= 1 << dice.randrange(8)
    block.write_bytes(bytes(body))


def kill_broker(parent: int) -> None:
    """Kill the broker as a crash of the machine does: asked to stop, it would leave an index that hides the harm."""
    children = [
        pid for task in Path(f"/proc/{parent}/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    brokers = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().startswith("nats-server")]
    assert brokers
    for pid in brokers:
        os.kill(pid, signal.SIGKILL)


def test_a_flipped_bit_is_reported_wherever_it_is(tmp_path: Path) -> None:
    """After a crash the server builds its index anew, and cuts a journal off at the first block that is damaged."""
    (tmp_path / "script.json").write_text(json.dumps(WORK))
    data = tmp_path / "data"
    with up(data) as (process, http):
        run_goals(http)
        time.sleep(2 * marks.EVERY_S)
        kill_broker(process.pid)
        process.kill()
        process.wait(40)
    dice = random.Random(7)  # noqa: S311 - the same places at every run
    told = 0
    for _ in range(FLIPS):
        damaged = tmp_path / "damaged"
        shutil.copytree(data, damaged)
        flip(damaged, dice)
        if said := refused(damaged):  # else nothing was lost: it started because no sequence is below its mark
            assert "The journal holds less than it did" in said
            assert "--accept-loss" in said
            told += 1
        shutil.rmtree(damaged)
    assert told >= FLIPS // 2
    assert refused(data) == "", "what is whole is gone on with"
    print(f"{told} of {FLIPS} flipped bits were reported")  # noqa: T201
