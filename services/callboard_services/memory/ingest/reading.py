"""Reads documents of strangers. Those that a program reads for which they are a program are read in its own process.

A PDF or a page of the web can be made to take all memory or never to end. Then the process ends, and with it the one
document.
"""

import asyncio
import sys
from typing import Any, Final

import msgspec

from callboard.tools import apart
from callboard.tools.errors import ToolError
from callboard.tools.process import Limits, Programs
from callboard_contracts.errors import CallboardError
from callboard_services.memory.ingest.fetch import MAX_BYTES
from callboard_services.memory.ingest.kinds import kind_of
from callboard_services.memory.ingest.parse import parse
from callboard_services.memory.ingest.parsed import Parsed, unreadable

TIMEOUT_S: Final = 60.0
MEMORY_BYTES: Final = 1024 * 1024 * 1024
_AT_ONCE: Final = 2


class Reader:
    """Reads documents, two strangers' at once."""

    def __init__(self, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> None:
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def read(self, name: str, content_type: str, data: bytes) -> Parsed:
        """Return the text of a document.

        :raises CallboardError: `unreadable_document`, `file_too_large`.
        """
        if len(data) > MAX_BYTES:
            raise CallboardError("file_too_large", f"{name} has {len(data):,} bytes, {MAX_BYTES:,} is the most")
        if kind_of(name, content_type, data) not in ("pdf", "html"):
            return await asyncio.to_thread(parse, name, content_type, data)
        async with self._room:
            return msgspec.convert(await self._apart(name, content_type, data), Parsed)

    async def _apart(self, name: str, content_type: str, data: bytes) -> Any:
        arguments = msgspec.to_builtins({"name": name, "content_type": content_type, "data": data})
        wanted = apart.Request(
            module=__name__, function=in_its_own.__qualname__, arguments=arguments, memory_bytes=self._memory_bytes
        )
        programs = Programs("ingest")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await apart.answered(programs, wanted, Limits(cpu_s=int(self._timeout_s) + 1))
        except TimeoutError:
            raise unreadable(f"reading it took more than {self._timeout_s:.0f} s") from None
        except ToolError as error:
            raise unreadable(error.message) from None
        finally:
            await programs.close()


def in_its_own(name: str, content_type: str, data: bytes) -> Parsed:
    """Read a document, in a process of its own.

    :raises ToolError: it cannot be read.
    """
    sys.setrecursionlimit(5_000)
    try:
        return parse(name, content_type, data)
    except CallboardError as error:
        raise ToolError(error.detail, code=error.code) from None
