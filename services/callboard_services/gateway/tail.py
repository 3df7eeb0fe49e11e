"""Everything that is recorded in a tree, in the order of its stream, from any sequence on: nothing missed or repeated.

What arrives on `live` is at most once, so it is taken as news that there is more, never as the thing itself: each
record is read from the journal as the one after the last. A message lost on the way, a reconnect or a slow client
therefore cost time and nothing else, and a tail holds one number, however far its reader is behind. Reading costs
0.1 ms a record. Tokens and progress are not stored; they pass through a bounded buffer that drops the oldest.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Self

import structlog

from callboard.bus import Bus, BusError, Delivery, reader
from callboard_contracts import subjects

log = structlog.get_logger()

_CHUNKS = 256
_LAG_S = 0.05
_RETRY_S = 1.0


class Tail:
    """One reader of one tree. An async context manager; `follow` it once."""

    def __init__(self, bus: Bus, stream: str, tenant: str, tree: str, *, chunks: bool, heartbeat_s: float) -> None:
        self._bus = bus
        self._stream = stream
        self._records = subjects.records_of_tree(tenant, tree)
        self._live = subjects.live_tree(tenant, tree)
        self._heartbeat_s = heartbeat_s
        self._chunks: deque[Delivery] | None = deque(maxlen=_CHUNKS) if chunks else None
        self._newest = 0
        """The highest sequence that was heard of."""
        self._unsure = False
        """There may be more than was heard of."""
        self._wake = asyncio.Event()
        self._unsubscribe: Callable[[], Any] | None = None

    async def __aenter__(self) -> Self:
        self._unsubscribe = await self._bus.subscribe(self._live, self._on_live)
        self._bus.on_reconnect.append(self.look_again)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._bus.on_reconnect.remove(self.look_again)
        if self._unsubscribe is not None:
            with contextlib.suppress(Exception):
                await asyncio.shield(self._unsubscribe())

    def look_again(self) -> None:
        """Read on, whether there was news or not."""
        self._unsure = True
        self._wake.set()

    def _on_live(self, news: Delivery) -> None:
        if seq := news.seq:
            self._newest = max(self._newest, seq)
        elif self._chunks is not None:
            self._chunks.append(news)
        self._wake.set()

    async def follow(self, position: int) -> AsyncGenerator[Delivery | None, None]:
        """Yield every record after a sequence, and tokens as they come; None when nothing happened for a while."""
        try:
            async for record in reader.scan(self._bus, self._stream, self._records, position + 1):
                position = record.seq
                yield record
        except BusError as error:
            log.warning("tail waits", stream=self._stream, reason=str(error))
            self._unsure = True
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            if following := await self._next(position):
                position = following.seq
                yield following
            elif not self._chunks and not await self._news():
                yield None

    async def _next(self, position: int) -> Delivery | None:
        """Return the record after a sequence if there is reason to believe in one."""
        while self._unsure or self._newest > position:
            try:
                found = await reader.following(self._bus, self._stream, self._records, position + 1)
            except BusError as error:
                log.warning("tail waits", stream=self._stream, reason=str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            if found is not None:
                return found
            self._unsure = False
            if self._newest > position:  # the server that answers is behind the one that told
                await asyncio.sleep(_LAG_S)
        return None

    async def _news(self) -> bool:
        """Wait for news. False after a heartbeat without any; then the journal is looked at all the same."""
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await self._wake.wait()
        except TimeoutError:
            self._unsure = True
            return False
        finally:
            self._wake.clear()
        return True
