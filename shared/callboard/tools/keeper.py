"""Runs one program for a call and leaves nothing of it behind. Started by `callboard.tools.process`, as a script.

keeper.py LIFELINE STATUS GRACE_S LIMITS PROGRAM ARGUMENT...

It lives as long as its program, and no longer than whoever started it: the pipe LIFELINE closes when that process
dies, however it dies, and then everything is killed at once. A byte in it means: SIGTERM, a short grace, SIGKILL.
The program leads a session and a process group of its own; what it starts is killed with it, on Linux also what left
the group, because orphans are handed to this process. Into STATUS go the program's process id and how it ended.

Nothing but the standard library, and a process without threads: limits are set between fork and exec, safely.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path

_SET_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)


def main(argv: list[str]) -> None:
    """Run the program and see to its end."""
    lifeline, status, grace_s, limits, program = int(argv[0]), int(argv[1]), float(argv[2]), argv[3], argv[4:]
    for descriptor in (lifeline, status):
        os.set_inheritable(descriptor, False)
    woken = _woken_by_children()
    _prctl(_SET_CHILD_SUBREAPER, 1)
    pid = _start(program, [int(limit) for limit in limits.split(",")], status)
    _write(status, f"{pid}\n")
    _let_go_of_its_pipes()
    ended = _watch(pid, lifeline, woken, grace_s)
    _clear(pid)
    _write(status, f"{ended}\n")


def _write(status: int, text: str) -> None:
    with contextlib.suppress(OSError):  # nobody is left to read it
        os.write(status, text.encode())


def _woken_by_children() -> int:
    """Return a descriptor that can be read when a child has ended."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start(program: list[str], limits: list[int], status: int) -> int:
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become(program, limits, keeper)
        except OSError as error:
            os.write(status, f"error {error.errno} {error.strerror}\n".encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is: two processes must not go on from here
            os.write(status, f"error 0 {error}\n".encode())
        os._exit(127)
    return pid


def _become(program: list[str], limits: list[int], keeper: int) -> None:
    os.setsid()
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(127)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for which, limit in zip(_LIMITS, limits, strict=True):
        if limit:
            _limit(which, limit)
    os.execvp(program[0], program)  # noqa: S606 - without a shell is what is wanted


def _limit(which: int, limit: int) -> None:
    """Limit what the program gets, never to more than this process has. Of CPU time it is told before it is killed."""
    _, most = resource.getrlimit(which)
    hard = limit + 1 if which == resource.RLIMIT_CPU else limit
    hard = hard if most == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(which, (min(limit, hard), hard))


def _let_go_of_its_pipes() -> None:
    """Hold the program's standard streams no longer: their other ends wait for all who have them."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _watch(pid: int, lifeline: int, woken: int, grace_s: float) -> int:
    """Wait until the program has ended, or see to it that it does; return how, as a return code of `subprocess`."""
    heard = [lifeline, woken]
    until: float | None = None
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        ready, _, _ = select.select(heard, [], [], left)
        if woken in ready:
            os.read(woken, 4096)
        if lifeline in ready:
            asked = os.read(lifeline, 1)
            heard = [woken]
            until = time.monotonic() + grace_s if asked else time.monotonic()
            _signal(pid, signal.SIGTERM if asked else signal.SIGKILL)
        elif until is not None and time.monotonic() >= until:
            _signal(pid, signal.SIGKILL)
            until = None
        if (ended := _reap(pid)) is not None:
            return ended


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _reap(pid: int) -> int | None:
    """Reap what has ended; return how the program ended, None while it runs."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == pid:
                return os.waitstatus_to_exitcode(found[1])
    return None


def _clear(pid: int) -> None:
    """Kill and reap whatever the program left."""
    _signal(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                _kill_children()
                os.waitpid(-1, 0)


def _kill_children() -> None:
    me = str(os.getpid())
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if stat.read_text().rpartition(")")[2].split()[1] == me:
                os.kill(int(stat.parent.name), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
