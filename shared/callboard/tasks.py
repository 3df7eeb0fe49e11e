"""Tasks that run beside each other, in the order they began."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Tasks:
    """Those that have not ended. Its length is their number."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], None] = {}

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something."""
        task = asyncio.get_running_loop().create_task(work)
        self._running[task] = None
        task.add_done_callback(self._drop)
        return task

    def _drop(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)

    def cancel(self) -> None:
        """Cancel all of them."""
        for task in tuple(self._running):
            task.cancel()

    async def finish(self, grace_s: float) -> None:
        """Wait until all are done, and cancel those that take longer."""
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=grace_s)
        self.cancel()

    async def stop(self) -> None:
        """Cancel all of them, and wait until they have ended."""
        self.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def finished(work: Awaitable[T]) -> T:
    """Wait for what must not be left half-done, also when cancelled meanwhile: it goes on all the same."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody waits for it any more: what failed is done again by whoever follows
        raise
