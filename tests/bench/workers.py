"""Where the roles run: as tasks of this process, or as processes of their own, which can be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from callboard import collector
from callboard.service import run
from callboard.settings import Settings
from tests.bench.roles import ROLES

_READY_S = 60


class Workers(Protocol):
    """Roles that run."""

    @property
    def pids(self) -> list[int]:
        """The processes beside this one."""

    async def start(self) -> None:
        """Return when all are ready."""

    async def stop(self) -> None:
        """Let them finish."""


class Tasks:
    """Roles in this process, each with a connection of its own."""

    def __init__(self, roles: Sequence[str], settings: Settings) -> None:
        self._roles = roles
        self._settings = settings
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> list[int]:
        """None: all is here."""
        return []

    async def start(self) -> None:
        """Return when all are ready."""
        for role in self._roles:
            ready = asyncio.Event()
            task = asyncio.create_task(run(role, ROLES[role], self._settings, self._stop, ready.set))
            self._tasks.append(task)
            await asyncio.wait_for(ready.wait(), _READY_S)
        collector.calm()  # as the embedded system does once it is ready

    async def stop(self) -> None:
        """Let them finish."""
        self._stop.set()
        await asyncio.gather(*self._tasks)


class Processes:
    """Teams of roles, each team a process."""

    def __init__(self, teams: Sequence[Sequence[str]], settings: Settings, *, tell: bool = False) -> None:
        self._teams = teams
        self._env = os.environ | {
            "CALLBOARD_NATS": settings.nats,
            "CALLBOARD_DATA": str(settings.data),
            "CALLBOARD_CONCURRENCY": str(settings.concurrency),
            "CALLBOARD_ACK_WAIT_S": str(settings.ack_wait_s),
            "BENCH_TELL": "1" if tell else "",
        }
        self._processes: list[asyncio.subprocess.Process] = []

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [process.pid for process in self._processes]

    async def start(self) -> None:
        """Return when all are ready."""
        self._processes = [await self._spawned(team) for team in self._teams]
        async with asyncio.timeout(_READY_S):
            await asyncio.gather(*(_ready(process) for process in self._processes))

    async def _spawned(self, team: Sequence[str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.worker",
            *team,
            stdin=asyncio.subprocess.PIPE,  # closed when this process dies, by which the worker notices
            stdout=asyncio.subprocess.PIPE,
            env=self._env,
            cwd=Path(__file__).parents[2],
        )

    async def stop(self) -> None:
        """Let them finish."""
        await self.signal(signal.SIGTERM)

    async def signal(self, number: signal.Signals) -> None:
        """Signal all at once and wait for their end."""
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(number)
        async with asyncio.timeout(_READY_S):
            await asyncio.gather(*(process.wait() for process in self._processes))
        self._processes = []


async def _ready(process: asyncio.subprocess.Process) -> None:
    if process.stdout is None or await process.stdout.readline() != b"ready\n":
        raise RuntimeError(f"a worker ended with {await process.wait()}")
