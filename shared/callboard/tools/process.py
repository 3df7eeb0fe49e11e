"""Programs that a call runs: bounded, without this process's secrets, and gone with the call, whatever becomes of it.

Each is started by a keeper, a small process that sees to its end; see `keeper`. When this process dies, the keeper
notices and kills at once, so that a call that is delivered again does not run beside its former self.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import structlog

from callboard.tasks import Tasks
from callboard.tools.errors import ToolError

log = structlog.get_logger()

T = TypeVar("T")
OUTPUT_BYTES: Final = 1024 * 1024
_KEEPER = str(Path(__file__).with_name("keeper.py"))
_GRACE_S = 0.5
"""Between SIGTERM and SIGKILL."""
_PATIENCE_S = 5.0
"""How long a keeper may take to end, once the grace is over."""
_CHUNK_BYTES = 64 * 1024
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What each process of a program gets at most, by `setrlimit`. macOS does not keep to `memory_bytes`."""

    memory_bytes: int | None = None
    cpu_s: int | None = None
    file_bytes: int | None = None

    def __str__(self) -> str:
        return ",".join(str(limit or 0) for limit in (self.memory_bytes, self.cpu_s, self.file_bytes))


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A program that ended. `returncode` is negative when a signal ended it, as in `subprocess`."""

    returncode: int
    stdout: bytes
    stderr: bytes
    cut: bool = False
    """There was more output than was kept."""

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.returncode >= 0:
            return f"ended with exit code {self.returncode}"
        try:
            return f"was killed by {signal.Signals(-self.returncode).name}"
        except ValueError:
            return f"was killed by signal {-self.returncode}"


class ProcessDiedError(ToolError):
    """A tool's process ended before it answered: what it had done by then is not known."""


class Programs:
    """The programs of one call. After `close` none runs and none starts."""

    def __init__(self, call: str) -> None:
        self._call = call
        self._running = Tasks()
        self._closed = False

    async def run(
        self,
        argv: Sequence[str],
        input_: bytes,
        env: Mapping[str, str],
        cwd: str | None,
        limits: Limits,
        keep: tuple[int, int],
    ) -> Finished:
        """Run a program to its end.

        :param keep: how many bytes of its standard output and of its standard error are kept.
        :raises OSError: it cannot be started. :raises ToolError: the call is over.
        """
        if self._closed:
            raise ToolError(f"the call is over: {argv[0]} was not started")
        work = _run(list(argv), input_, _environment(self._call, env), cwd, limits, keep)
        try:
            return await self._running.spawn(work)
        except asyncio.CancelledError:
            if self._closed:  # whoever waits here is a thread that the call has left behind
                raise ToolError(f"the call is over: {argv[0]} was stopped") from None
            raise

    async def close(self) -> None:
        """End all of them, with all that they started."""
        self._closed = True
        if self._running:
            await _to_the_end(self._running.stop())


def _environment(call: str, given: Mapping[str, str]) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {"CALLBOARD_CALL": call} | dict(given)


async def _run(
    argv: list[str], input_: bytes, env: dict[str, str], cwd: str | None, limits: Limits, keep: tuple[int, int]
) -> Finished:
    lifeline_read, lifeline = os.pipe()
    status, status_write = os.pipe()
    passed = (lifeline_read, status_write)
    command = (sys.executable, "-I", "-S", _KEEPER, *map(str, passed), str(_GRACE_S), str(limits), *argv)
    starting = asyncio.ensure_future(_start(command, env, cwd, passed))
    try:
        keeper = await _to_the_end(starting)
        stdout, stderr, *_ = await asyncio.gather(
            _read(keeper.stdout, keep[0]), _read(keeper.stderr, keep[1]), _feed(keeper, input_), keeper.wait()
        )
        returncode = _ending(argv[0], os.read(status, _CHUNK_BYTES).decode(errors="replace"))
    finally:
        if not starting.exception():
            await _to_the_end(_end(starting.result(), lifeline))
        os.close(lifeline)
        os.close(status)
    cut = len(stdout) > keep[0] or len(stderr) > keep[1]
    return Finished(returncode=returncode, stdout=stdout[: keep[0]], stderr=stderr[: keep[1]], cut=cut)


async def _start(
    command: Sequence[str], env: dict[str, str], cwd: str | None, passed: tuple[int, ...]
) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, pass_fds=passed, start_new_session=True
        )
    finally:
        for descriptor in passed:
            os.close(descriptor)


async def _read(stream: asyncio.StreamReader | None, keep_bytes: int) -> bytes:
    """Read to the end, and return one byte more than is kept when there was more."""
    found = bytearray()
    while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
        found += chunk[: keep_bytes + 1 - len(found)]
    return bytes(found)


async def _feed(keeper: asyncio.subprocess.Process, input_: bytes) -> None:
    if (stdin := keeper.stdin) is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it did not want to read all
            stdin.write(input_)
            await stdin.drain()
        stdin.close()


async def _end(keeper: asyncio.subprocess.Process, lifeline: int) -> None:
    """Have the program and all that it started ended, if they are not, and wait for it."""
    if keeper.returncode is None:
        with contextlib.suppress(BrokenPipeError):  # it ends by itself just now
            os.write(lifeline, b"T")
    try:
        async with asyncio.timeout(_GRACE_S + _PATIENCE_S):
            await asyncio.gather(_read(keeper.stdout, 0), _read(keeper.stderr, 0), keeper.wait())
    except TimeoutError:
        log.error("a program did not end", keeper=keeper.pid)
        keeper.kill()


def _ending(program: str, status: str) -> int:
    """Return the return code that a keeper wrote.

    :raises OSError: it wrote that the program could not be started. :raises ProcessDiedError: it was killed itself.
    """
    lines = status.splitlines()
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "error":
            number, _, text = rest.partition(" ")
            raise OSError(int(number), text, program)
    if len(lines) < 2:
        raise ProcessDiedError(f"{program} and what watched over it were killed")
    return int(lines[-1])


async def _to_the_end(work: Awaitable[T]) -> T:
    """Wait for what takes a bounded time, also when cancelled meanwhile: that is heeded when it is done."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        task.exception()  # it was seen
        raise asyncio.CancelledError
    return task.result()
