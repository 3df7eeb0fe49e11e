"""How far the stream is folded, and waiting for it: whoever asks waits until the tables hold what he asks about."""

import asyncio
import contextlib

from callboard_services.memory.tables import DamagedError

_ASKED_S = 0.005


class Progress:
    """A position, and those who wait for it to move."""

    def __init__(self) -> None:
        self.position = 0
        self.opened = False
        """Whether the tables are open, and what is asked may be answered from them."""
        self._look_at = 0.0
        self._doubt: Exception | None = None
        self._asked = 0
        """How many wait for something to be folded."""
        self._hurry = asyncio.Event()
        self._moved = asyncio.Condition()

    async def reached(self, seq: int, within_s: float) -> bool:
        """Wait until the tables hold everything up to a sequence. False when they do not in time."""
        if self._holds(seq):
            return True
        self._asked += 1
        self._hurry.set()
        try:
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self._holds(seq))
        except TimeoutError:
            return False
        finally:
            self._asked -= 1
        return True

    def _holds(self, seq: int) -> bool:
        return self.opened and self.position >= seq

    async def settled(self, within_s: float) -> None:
        """Wait until no doubt is left: the tables were found to be in order, or are new."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self.opened and self._doubt is None)

    def doubt(self, error: Exception) -> None:
        """Have the tables checked, and built anew when they are damaged: a question could not be answered."""
        self._doubt = error
        self._wake()

    def anew(self) -> None:
        """Have the tables built anew. Nothing is answered from them before that is done."""
        self.opened = False
        self.doubt(DamagedError("they are to be built anew"))

    def _wake(self) -> None:
        self._look_at = 0.0
        self._hurry.set()

    async def _pause(self, pause_s: float) -> None:
        if self._asked:
            pause_s = min(pause_s, _ASKED_S)
        if pause_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._hurry.wait()

    async def _move(self, seq: int) -> None:
        self.position = seq
        async with self._moved:
            self._moved.notify_all()
