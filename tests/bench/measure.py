"""What a measurement reads of the machine: CPU, memory and disk, from /proc and from the broker. Linux only."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from callboard.bus import Bus, layout

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Used(msgspec.Struct, frozen=True):
    """Seconds on the clock, and seconds of CPU of all processes together."""

    seconds: float
    cpu_s: float


class Meter:
    """The CPU of this process and of others, from its making to `stop`."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = tuple(pids)
        self._begun = time.perf_counter()
        self._cpu_s = self._now()

    def _now(self) -> float:
        return time.process_time() + sum(cpu_s(pid) for pid in self._pids)

    def stop(self) -> Used:
        """Return what was used."""
        return Used(time.perf_counter() - self._begun, self._now() - self._cpu_s)


async def quiet(pids: Sequence[int], patience_s: float) -> float:
    """Wait until this process and others use less than a tenth of a core for a second; return how long that took.

    :raises TimeoutError: they do not come to rest.
    """
    begun = time.perf_counter()
    async with asyncio.timeout(patience_s):
        while True:
            meter = Meter(pids)
            await asyncio.sleep(1)
            if meter.stop().cpu_s < 0.1:
                return time.perf_counter() - begun


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process with all its threads, in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def rss_mib_of_all(pids: Sequence[int]) -> float:
    """Return the resident memory of this process and others together."""
    return sum(rss_mib(pid) for pid in (os.getpid(), *pids))


def disk_bytes(folder: Path) -> int:
    """Return what a folder occupies on disk, as `du` counts: blocks, not lengths."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


class Stored(msgspec.Struct, frozen=True):
    """What the journals hold."""

    messages: int = 0
    bytes: int = 0
    """As the broker counts: subjects, headers, bodies and 30 bytes a message."""


async def stored(bus: Bus, groups: int) -> Stored:
    """Return what the journals hold once nothing more is added: trees close after their run's end is known."""
    before, found = Stored(), await _stored(bus, groups)
    while found != before:
        await asyncio.sleep(0.3)
        before, found = found, await _stored(bus, groups)
    return found


async def _stored(bus: Bus, groups: int) -> Stored:
    states = [(await bus.api(f"STREAM.INFO.{layout.journal(group)}"))["state"] for group in range(groups)]
    return Stored(sum(state["messages"] for state in states), sum(state["bytes"] for state in states))


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that a part of the values does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered)) - 1))]
