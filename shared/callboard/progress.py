"""How far a stream is folded, and waiting for it: whoever asks waits until what he asks about is there."""

import asyncio
import contextlib


class Progress:
    """A position, and those who wait for it to move.

    :param asked_s: how long whoever folds waits at most for more of it while somebody waits.
    """

    def __init__(self, position: int, *, asked_s: float) -> None:
        self.position = position
        self._asked_s = asked_s
        self._look_at = 0.0
        """When the stream itself is to be looked at."""
        self._asked = 0
        """How many wait for something to be folded."""
        self._hurry = asyncio.Event()
        self._moved = asyncio.Condition()

    async def reached(self, seq: int, within_s: float) -> bool:
        """Wait until everything up to a sequence is folded. False when it is not in time."""
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
        return self.position >= seq

    def _wake(self) -> None:
        """Look at once, at the stream as well."""
        self._look_at = 0.0
        self._hurry.set()

    async def _pause(self, pause_s: float) -> None:
        if self._asked:
            pause_s = min(pause_s, self._asked_s)
        if pause_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._hurry.wait()

    async def _move(self, seq: int) -> None:
        self.position = seq
        async with self._moved:
            self._moved.notify_all()
