"""Services as processes of their own, started and killed as an operator or a fault would."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from callboard.bus import Bus
from callboard.service import groups_in_force
from callboard.settings import Settings
from tests.integration.system import System, free_port

CRASHED = 137
"""The exit code of a process that ended at a crash point."""
ALL = ("tools", "guard", "approval", "planner", "models", "ledger", "gateway")


class Process:
    """One service process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    async def ready(self) -> None:
        """Wait for its ready line."""
        async with asyncio.timeout(20):
            while line := await self._process.stdout.readline():  # type: ignore[union-attr]
                if line.strip().endswith(b"ready"):
                    return
        raise RuntimeError(f"{self.name} ended with {await self._process.wait()}")

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, how: signal.Signals) -> None:
        """Send it a signal, and wait for nothing."""
        self._process.send_signal(how)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.returncode is None

    async def ended(self, timeout_s: float = 20) -> int:
        """Wait for its end and return its exit code."""
        async with asyncio.timeout(timeout_s):
            return await self._process.wait()

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end."""
        if self.alive:
            self._process.send_signal(how)
        return await self.ended()


class Host:
    """Starts service processes over one broker, with one scripted model."""

    def __init__(self, url: str, data: Path, script: Any) -> None:
        self.url = url
        self.data = data
        self.script = data / "script.json"
        self.script.write_text(json.dumps(script))
        self.processes: list[Process] = []
        self.http = f"127.0.0.1:{free_port()}"
        """Where the gateway listens."""

    async def start(
        self,
        name: str,
        *,
        crash_at: str = "",
        program: Iterable[str] = (),
        url: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a service, or another program over the same broker, and wait until it is ready.

        `url` is another way to the broker, such as through a proxy.
        """
        url = url or self.url
        command = list(program) or ["-m", f"callboard_services.{name}", "--nats", url, "--data", str(self.data)]
        if name == "models":
            command += ["--model", f"scripted:{self.script}"]
        if name == "gateway":
            command += ["--http", self.http]
        env = os.environ | {"CRASH_AT": crash_at, "CALLBOARD_ACK_WAIT_S": "2", "CALLBOARD_NATS": url}
        process = Process(
            name,
            await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                stdout=asyncio.subprocess.PIPE,
                env=env | dict(environment or {}),
                cwd=Path(__file__).parents[2],
            ),
        )
        self.processes.append(process)
        await process.ready()
        return process

    async def close(self) -> None:
        """Stop everything that still runs."""
        await asyncio.gather(*(process.stop() for process in self.processes if process.alive))


@asynccontextmanager
async def hosting(
    url: str,
    data: Path,
    script: Any,
    services: Iterable[str] = ALL,
    *,
    crash_at: Mapping[str, str] | None = None,
    ways: Mapping[str, str] | None = None,
    environments: Mapping[str, Mapping[str, str]] | None = None,
) -> AsyncIterator[tuple[Host, System]]:
    """Run services as processes and yield the host, which has them in the order given, and a client.

    `ways` are other ways to the broker, by service; `environments` is what else a service finds in its own.
    """
    host = Host(url, data, script)
    settings = Settings(nats=url, data=data, ack_wait_s=2)
    async with await Bus.connect(url, name="client") as bus:
        groups = await groups_in_force(bus, settings)
        try:
            for name in services:
                await host.start(
                    name,
                    crash_at=(crash_at or {}).get(name, ""),
                    url=(ways or {}).get(name, ""),
                    environment=(environments or {}).get(name),
                )
            system = System(bus, groups, settings)
            await system.start()
            yield host, system
        finally:
            await host.close()
