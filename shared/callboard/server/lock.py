"""One system per data folder: a lock that the kernel gives back when its last holder dies, however it dies.

The server inherits the lock, so the folder stays taken while any process writes in it; a stale file means nothing.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from callboard_contracts.errors import CallboardError

_PATIENCE_S = 5.0
"""How long the server of a killed parent may take to end."""


class FolderLock:
    """The right to run a system in a data folder. Use it as a context manager."""

    def __init__(self, data: Path) -> None:
        self._path = data / "lock"
        self._data = data
        self.handle = -1
        """The open file, which the server inherits."""

    def __enter__(self) -> Self:
        """Take the lock.

        :raises CallboardError: `already_running`, naming who holds it, or `invalid_request`, it cannot be made.
        """
        try:
            self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CallboardError("invalid_request", f"the data folder {self._data} cannot be used: {error}") from None
        try:
            self._take()
            self._sign()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back."""
        os.close(self.handle)
        self.handle = -1

    def _take(self) -> None:
        patience = time.monotonic() + _PATIENCE_S
        while not self._try():
            holder = os.pread(self.handle, 64, 0).decode(errors="replace").strip() or "?"
            if _lives(holder) or time.monotonic() > patience:
                raise CallboardError(
                    "already_running",
                    f"a system runs in {self._data} already, as process {holder}",
                )
            time.sleep(0.05)

    def _try(self) -> bool:
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _sign(self) -> None:
        os.ftruncate(self.handle, 0)
        os.pwrite(self.handle, f"{os.getpid()}\n".encode(), 0)


def _lives(holder: str) -> bool:
    try:
        os.kill(int(holder), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
