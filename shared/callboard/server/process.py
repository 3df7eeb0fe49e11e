"""The server as a process: ready when it says so, never outliving whoever started it, stopped by asking first."""

import asyncio
import contextlib
import ctypes
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import structlog

from callboard.server import room
from callboard.server.binary import find_server
from callboard.server.config import Plan, render
from callboard_contracts.errors import CallboardError

log = structlog.get_logger()

READY_S = 30.0
STOP_S = 15.0
_PR_SET_PDEATHSIG = 1


class _Ports(msgspec.Struct):
    nats: list[str] = []
    monitoring: list[str] = []


@dataclass
class Server:
    """A running server."""

    process: asyncio.subprocess.Process
    plan: Plan
    url: str
    """Without credentials: for a server with users, that is the user of people without credentials."""
    monitoring: str
    folder: Path
    """For configurations and ports."""
    inherit: int

    def url_of(self, user: str) -> str:
        """Return the URL with a user's credentials, without any where the server has no users."""
        password = self.plan.passwords.get(user)
        return self.url.replace("://", f"://{user}:{password}@", 1) if password else self.url

    async def restart(self) -> None:
        """Start it again at the same address. What it wrote to its log is kept.

        :raises CallboardError: `broker_unreachable`, with the server's own words.
        """
        await self.stop()
        plan = msgspec.structs.replace(self.plan, port=urlsplit(self.url).port or 0)
        again = await _started(plan, self.folder, self.inherit, "ab")
        self.process, self.monitoring = again.process, again.monitoring

    async def stop(self) -> None:
        """Ask the server to stop, and make it stop when it does not."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            log.warning("server killed", waited_s=STOP_S)
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


@contextlib.asynccontextmanager
async def start_server(plan: Plan, *, inherit: int = -1) -> AsyncIterator[Server]:
    """Run a server until the block ends. `inherit` is an open file it keeps open as long as it lives.

    A server whose disk was full is started again, at the same address, once there is room.

    :raises CallboardError: `broker_unreachable`, with the server's own words.
    """
    plan.store.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="callboard-") as folder:
        server = await _started(plan, Path(folder), inherit, "wb")
        tending = asyncio.create_task(room.tend(server))
        try:
            yield server
        finally:
            tending.cancel()
            await asyncio.shield(_stopped(server, tending))


async def _stopped(server: Server, tending: asyncio.Task[None]) -> None:
    await asyncio.wait([tending])
    await server.stop()


async def _started(plan: Plan, folder: Path, inherit: int, log_mode: str) -> Server:
    own = Path(tempfile.mkdtemp(dir=folder))
    config, output = own / "nats.conf", plan.store / "server.log"
    config.touch(mode=0o600)  # it holds passwords
    config.write_text(render(plan, ports=own))
    binary = find_server()
    with output.open(log_mode) as file:
        process = await asyncio.create_subprocess_exec(
            binary.path,
            "-c",
            config,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            pass_fds=(inherit,) if inherit >= 0 else (),
            start_new_session=True,  # Ctrl-C is for the parent, which lets the services finish first
            preexec_fn=_die_with_parent(),
        )
    server = Server(process, plan, "", "", folder, inherit)
    try:
        ports = await _ports(process, own)
    except BaseException:
        await asyncio.shield(server.stop())
        raise
    if ports is None:
        raise CallboardError("broker_unreachable", f"nats-server did not start: {_last_words(output)}")
    server.url, server.monitoring = ports.nats[0], ports.monitoring[0] if ports.monitoring else ""
    return server


def _die_with_parent() -> Callable[[], None] | None:
    """Return what asks Linux to end the server when its parent dies, even by SIGKILL. Elsewhere the lock tells."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _ports(process: asyncio.subprocess.Process, folder: Path) -> _Ports | None:
    """Wait for the file that the server writes once it takes connections; None when it ended or is not in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while process.returncode is None:
                if found := _written(folder):
                    return found
                await asyncio.sleep(0.01)
    return None


def _written(folder: Path) -> _Ports | None:
    for file in folder.glob("*.ports"):
        with contextlib.suppress(msgspec.DecodeError):  # it is still being written
            return msgspec.json.decode(file.read_bytes(), type=_Ports)
    return None


def _last_words(output: Path) -> str:
    lines = output.read_text(errors="replace").splitlines()
    told = [line for line in lines if "[FTL]" in line or "[ERR]" in line or line.startswith("nats-server:")]
    return (told or lines or ["it said nothing"])[-1][-300:]
