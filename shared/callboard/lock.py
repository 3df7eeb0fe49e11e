"""The right to do something in a folder, which the kernel gives back when its holder dies, however it dies."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self


class Lock:
    """One holder per file. Use it as a context manager, and `take` it when it is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def take(self) -> bool:
        """Take the right, or tell that another process has it.

        :raises OSError: the folder cannot be written.
        """
        if self._handle >= 0:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._handle = handle
            return True
        os.close(handle)
        return False
