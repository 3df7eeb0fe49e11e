"""How far the stream is folded into the tables, and whether they are in order: whoever asks waits for both."""

import asyncio
import contextlib

from callboard import progress
from callboard_services.memory.tables import DamagedError

_ASKED_S = 0.005


class Progress(progress.Progress):
    """A position of tables that can be closed, or in doubt."""

    def __init__(self) -> None:
        super().__init__(0, asked_s=_ASKED_S)
        self.opened = False
        """Whether the tables are open, and what is asked may be answered from them."""
        self._doubt: Exception | None = None

    def _holds(self, seq: int) -> bool:
        return self.opened and super()._holds(seq)

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
