"""The tasks of a worker, in the order they began."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Runs things beside each other, to be finished before the worker stops."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[None], None] = {}

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something."""
        task = asyncio.get_running_loop().create_task(work)
        self._running[task] = None
        task.add_done_callback(self._drop)

    def _drop(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)

    async def finish(self, grace_s: float) -> None:
        """Wait until all are done, and cancel those that take longer."""
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=grace_s)
        for task in tuple(self._running):
            task.cancel()
