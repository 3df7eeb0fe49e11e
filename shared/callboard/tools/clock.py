"""The broker's time, by which grants expire.

A process whose own clock is wrong, or is set while it runs, neither refuses what is valid nor runs what is not.
"""

import asyncio
import time
from datetime import datetime

import structlog

from callboard.bus import Bus, BusError, layout

log = structlog.get_logger()

_TELLING_MS = 2000
_AGAIN_S = 60.0
_UNTOLD_S = 1.0


class BrokerClock:
    """Tells the broker's time, by this process's own clock until it has been set once."""

    def __init__(self) -> None:
        self._offset_ms: float | None = None
        """The broker's time less the loop's time."""

    def now_ms(self) -> float:
        """Return the broker's time, ms since 1970."""
        if self._offset_ms is None:
            return time.time() * 1000
        return asyncio.get_running_loop().time() * 1000 + self._offset_ms

    @property
    def told(self) -> bool:
        """Whether the broker has told its time."""
        return self._offset_ms is not None

    async def set(self, bus: Bus) -> None:
        """Ask the broker for its time. A broker that does not tell, or not to this user, changes nothing."""
        before = asyncio.get_running_loop().time()
        try:
            told = (await bus.api(f"STREAM.INFO.{layout.DEAD}", timeout_s=2.0)).get("ts", "")
        except BusError:
            return
        if not told:
            return
        between_ms = (before + asyncio.get_running_loop().time()) * 500
        self._offset_ms = datetime.fromisoformat(told).timestamp() * 1000 - between_ms
        if abs(off := self.now_ms() - time.time() * 1000) > _TELLING_MS:
            log.warning("this machine's clock is not the broker's", off_ms=int(-off))

    async def keep(self, bus: Bus) -> None:
        """Ask again every minute, and every second until the broker has told its time. Ends when cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_S if self.told else _UNTOLD_S)
            await self.set(bus)
