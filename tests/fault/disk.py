"""An ext4 file system of a test's own, which can lose its power or fill up. Needs root, a loop device and mkfs.ext4."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2
_BLOCK = 1 << 20


def missing() -> str:
    """Return what a disk of one's own lacks here, empty when nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux, as root"
    if shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
        return "needs mkfs.ext4 and loop devices"
    return ""


class Disk:
    """A mounted file system."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.folder = folder
        self._image = image

    def mount(self) -> None:
        """Mount it: what its journal holds is replayed, as after a power cut."""
        subprocess.run(["mount", "-o", "loop", self._image, self.folder], check=True)

    def cut(self) -> None:
        """Cut the power: nothing reaches the disk any more, its journal neither. Whoever writes gets an error."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _SHUTDOWN, struct.pack("i", _NOLOGFLUSH))
        finally:
            os.close(handle)

    async def unmount(self) -> None:
        """Unmount it, once nobody uses it."""
        async with asyncio.timeout(20):
            while await asyncio.to_thread(self._busy):  # noqa: ASYNC110 - the kernel tells by being asked
                await asyncio.sleep(0.1)

    def _busy(self) -> bool:
        return subprocess.run(["umount", self.folder], capture_output=True, check=False).returncode == 32

    def fill(self) -> None:
        """Write one file until there is no room left."""
        with (self.folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(_BLOCK)):
                pass
        with (self.folder / "filler.rest").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(512)):
                pass

    def free(self) -> None:
        """Delete what `fill` wrote."""
        for file in self.folder.glob("filler*"):
            file.unlink()


@asynccontextmanager
async def disk(folder: Path, megabytes: int) -> AsyncIterator[Disk]:
    """Make a file system and mount it until the block ends."""
    found = _made(folder, megabytes)
    found.mount()
    try:
        yield found
    finally:
        await found.unmount()


def _made(folder: Path, megabytes: int) -> Disk:
    image, where = folder / "disk.img", folder / "disk"
    where.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes * _BLOCK)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    return Disk(image, where)
