"""An event loop whose time is virtual: when nothing is ready it jumps to the next timer. It never sleeps, and no
selector, thread or clock takes part: what runs, and in which order, follows from the program alone.

A life is one process as the simulation plays it. Everything that a life schedules, its tasks and timers and what
reaches it from the broker, carries the life in its context. A killed life's handles are never run again, as under
`kill -9`: no `finally`, no farewell. A frozen life's wait for the thaw, as under SIGSTOP.
"""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, TypeVarTuple

Ts = TypeVarTuple("Ts")
LIFE: ContextVar["Life"] = ContextVar("life")
_BUSY_STEPS = 100_000
"""Rounds of callbacks without time going on: then it never will."""


class Life:
    """One process, from its start to its death. Handles that are held back are kept: see `VirtualLoop.bury`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = False
        self.skew_s = 0.0
        """How far its wall clock is off."""
        self.held: deque[events.Handle] = deque()


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. `errors` collects what callbacks and tasks raised and nobody caught."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._ready: deque[events.Handle] = deque()
        self._timers: list[tuple[float, int, events.TimerHandle]] = []
        """By time; timers of the same instant in the order in which they were set."""
        self._set = 0
        self._cancelled = 0
        self._idle_steps = 0
        self._lives: dict[int, tuple[Life, list[asyncio.Task[Any]]]] = {}
        self.errors: list[str] = []
        self.set_exception_handler(self._on_error)
        self.set_task_factory(self._create_task)

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> events.Handle:
        """Run a callback after what is ready now."""
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        """As `call_soon`: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """Run a callback at a virtual time."""
        timer = events.TimerHandle(when, callback, args, self, context)
        self._set += 1
        heapq.heappush(self._timers, (when, self._set, timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """Run a callback after a virtual delay."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, _: events.TimerHandle) -> None:
        self._cancelled += 1

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._advance()
        self._idle_steps += 1
        if self._idle_steps > _BUSY_STEPS:
            raise RuntimeError(f"the simulation is busy for ever at {self._now:.3f} s")
        for _ in range(len(ready)):
            handle: Any = ready.popleft()
            if handle._cancelled:
                continue
            life = handle._context.get(LIFE)
            if life is not None and (life.dead or life.frozen):
                life.held.append(handle)
            else:
                handle._run()

    def _advance(self) -> None:
        """Jump to the next timer.

        :raises RuntimeError: there is none, and nothing will ever happen again.
        """
        self._idle_steps = 0
        if self._cancelled > 256 and self._cancelled * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2]._cancelled]
            heapq.heapify(self._timers)
            self._cancelled = 0
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
            self._cancelled -= 1
        if not timers:
            raise RuntimeError("the simulation is stuck: nothing is ready and no timer is set")
        now = self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            if timer._cancelled:
                self._cancelled -= 1
            else:
                self._ready.append(timer)

    def _write_to_self(self) -> None:
        """Nothing sleeps that would have to be woken."""

    def _process_events(self, event_list: Any) -> None:
        """There are no files and no sockets."""

    def _create_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **more)
        context: Context | None = more.get("context")
        life = LIFE.get(None) if context is None else context.get(LIFE)
        if life is not None:
            self._lives.setdefault(id(life), (life, []))[1].append(task)
        return task

    def _on_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        handle = context.get("handle")
        life = handle._context.get(LIFE) if handle is not None else None
        if life is not None and life.dead:
            return  # what it met on its way down
        error = context.get("exception")
        self.errors.append(f"{context['message']}: {error!r}" if error else context["message"])

    async def bury(self) -> None:
        """End everything that any life has left, so that nothing is collected half-done."""
        for life, _ in self._lives.values():
            life.dead = life.frozen = False
            self._ready.extend(life.held)
            life.held.clear()
        for _, tasks in self._lives.values():
            left = [task for task in tasks if not task.done()]
            for task in left:
                task.cancel()
        for _, tasks in list(self._lives.values()):
            await asyncio.gather(*tasks, return_exceptions=True)
