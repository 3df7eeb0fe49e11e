"""Finding `nats-server`: the one that was installed beside this Python, else the one on PATH."""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import msgspec

from callboard_contracts.errors import CallboardError

OLDEST = (2, 14, 0)
"""Scheduled messages with a target that other streams take from need this version."""

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


class Binary(msgspec.Struct, frozen=True):
    """A `nats-server` that can be used."""

    path: Path
    version: tuple[int, int, int]


def find_server() -> Binary:
    """Return the first `nats-server` that is new enough.

    :raises CallboardError: `broker_unreachable`, none is installed or all are too old.
    """
    wanted = ".".join(map(str, OLDEST))
    old = ""
    for path in candidates():
        version = version_of(path)
        if version >= OLDEST:
            return Binary(path, version)
        old = old or f"{path} is version {'.'.join(map(str, version))}"
    raise CallboardError(
        "server_missing",
        f"no nats-server from {wanted} on was found{f' ({old})' if old else ''}",
    )


def candidates() -> Iterator[Path]:
    """Yield every `nats-server` there may be, the nearest first."""
    name = "nats-server.exe" if sys.platform == "win32" else "nats-server"
    folders = (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent)
    found = [str(folder / name) for folder in folders] + [shutil.which(name) or ""]
    for path in dict.fromkeys(found):
        if path and Path(path).is_file():
            yield Path(path)


def version_of(path: Path) -> tuple[int, int, int]:
    """Return the version of a binary, zeros when it cannot tell."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - a path found above
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0, 0)
    match = _VERSION.search(said.stdout)
    return (int(match[1]), int(match[2]), int(match[3])) if match else (0, 0, 0)
