"""The executor runtime of one process: pulls granted calls, runs them, publishes their results, acks last.

What was pulled is kept alive at the broker every third of its ack_wait, while it waits for its turn and while it runs,
whatever the tool does. When the process dies, the broker delivers what it held to another.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from callboard import crash
from callboard.bus import (
    Bus,
    BusError,
    Delivery,
    PublishRefused,
    Puller,
    Room,
    ack,
    in_progress,
    layout,
    nak,
    term,
)
from callboard.bus.micro import Announcement, announce_tool
from callboard.dead_letters import bury
from callboard.tasks import Tasks
from callboard.tools import attempt
from callboard.tools.attempt import Order, Undecodable
from callboard.tools.clock import BrokerClock
from callboard.tools.stops import Stops, Told
from callboard.tools.tool import Tool
from callboard_contracts import names, subjects, wire
from callboard_contracts.call import Completed, Failed, Result

log = structlog.get_logger()

_SERVICE = "tools"
_AGAIN_S = 1.0


class _Served:
    """A tool as one process serves it, with its room for calls within the process's."""

    def __init__(self, tool: Tool, announcement: Announcement, room: Room, limit: asyncio.Semaphore) -> None:
        self.tool = tool
        self.announcement = announcement
        self.room = room
        self._own = asyncio.Semaphore(room.size)
        self._all = limit

    async def take(self) -> None:
        """Wait for room for one call."""
        await self._own.acquire()
        try:
            await self._all.acquire()
        except BaseException:
            self._own.release()
            raise

    def give(self) -> None:
        """Give back the room of one call."""
        self._all.release()
        self._own.release()


class Executor:
    """Serves tools from one process.

    :param groups: how many journals there are. :param concurrency: calls run at once, of all tools together.
    :param ack_wait_s: the silence after which the broker delivers a call again. :param grace_s: how long running
    calls may go on after `stop`.
    """

    def __init__(
        self,
        bus: Bus,
        groups: int,
        tools: Sequence[Tool],
        concurrency: int = 8,
        *,
        ack_wait_s: float = layout.ACK_WAIT_S,
        grace_s: float = 10.0,
    ) -> None:
        self._bus = bus
        self._groups = groups
        self._tools = tuple(tools)
        self._concurrency = concurrency
        self._beat_s = ack_wait_s / 3
        self._clock = BrokerClock()
        self._stops = Stops(bus, self._clock)
        self._grace_s = grace_s
        self._limit = asyncio.Semaphore(concurrency)
        self._served: list[_Served] = []
        self._pullers: list[Puller] = []
        self._held: dict[asyncio.Task[None], Delivery] = {}
        self._waiting: dict[asyncio.Task[None], None] = {}
        self._tasks = Tasks()

    async def start(self) -> None:
        """Pull and announce. The durables may be created later, by the registrar.

        :raises NoAnswer: the broker does not answer.
        """
        await self._clock.set(self._bus)
        await self._stops.start()
        self._tasks.spawn(self._beat())
        self._tasks.spawn(self._clock.keep(self._bus))
        for tool in self._tools:
            room = Room(min(self._concurrency, tool.concurrency or self._concurrency), sharing=self._groups)
            served = _Served(tool, await _announced(self._bus, tool), room, self._limit)
            self._served.append(served)
            for group in range(self._groups):
                await self._pull(served, layout.journal(group))

    async def _pull(self, served: _Served, stream: str) -> None:
        durable = names.durable(served.tool.spec.name)
        puller = Puller(
            self._bus, stream, durable, lambda message: self._take(served, puller, message), room=served.room
        )
        self._pullers.append(puller)
        await puller.start()

    async def stop(self) -> None:
        """Pull no more, give back what has not started, let what runs finish, and give back what does not."""
        for served in self._served:
            await served.announcement.stop()
        for puller in self._pullers:
            await puller.stop()
        for task in tuple(self._waiting):
            task.cancel()
        if self._held:
            await asyncio.wait(tuple(self._held), timeout=self._grace_s)
        for task in tuple(self._held):
            task.cancel()
        await asyncio.gather(*self._held, return_exceptions=True)
        self._tasks.cancel()
        await self._stops.stop()
        with contextlib.suppress(BusError):
            await self._bus.flush()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            for message in self._held.values():
                in_progress(self._bus, message)

    def _take(self, served: _Served, puller: Puller, message: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(served, puller, message))
        self._held[task] = message
        self._waiting[task] = None
        task.add_done_callback(self._drop)

    def _drop(self, task: asyncio.Task[None]) -> None:
        self._held.pop(task, None)
        self._waiting.pop(task, None)

    async def _handle(self, served: _Served, puller: Puller, message: Delivery) -> None:
        """Deal with one message: it ends acked, terminated or given back."""
        try:
            await self._deal(served, message)
        except asyncio.CancelledError:
            nak(self._bus, message)
            raise
        except BusError as error:
            log.warning("call given back", tool=served.tool.spec.name, detail=str(error))
            nak(self._bus, message, _AGAIN_S)
        except Exception:  # a bug of this runtime must cost neither the call nor the process
            log.exception("call given back", tool=served.tool.spec.name)
            nak(self._bus, message, _AGAIN_S)
        finally:
            puller.done()

    async def _deal(self, served: _Served, message: Delivery) -> None:
        try:
            order = attempt.read(message, served.tool.spec.name)
        except Undecodable as error:
            await self._bury(message, "undecodable", str(error))
            term(self._bus, message)
            return
        told = self._stops.hold(order.tenant, order.call)
        if told is None:
            return  # it is held here already and was delivered again: its one answer acknowledges both
        try:
            await self._serve(served, message, order, told)
        finally:
            self._stops.release(told)

    async def _serve(self, served: _Served, message: Delivery, order: Order, told: Told) -> None:
        """Run a call when there is room for it; one that is cancelled while it waits is answered at once."""
        try:
            async with asyncio.timeout(None) as patience:
                told.heed(patience)
                await served.take()
        except TimeoutError:
            await self._answer(served, message, order, attempt.cancelled(order), 0.0)
            return
        try:
            if (task := asyncio.current_task()) is not None:
                self._waiting.pop(task, None)
            started = asyncio.get_running_loop().time()
            result = await attempt.outcome(self._bus, self._clock, served.tool, order, told, self._stops.since_ms)
            await self._answer(served, message, order, result, asyncio.get_running_loop().time() - started)
        finally:
            served.give()

    async def _answer(
        self, served: _Served, message: Delivery, order: Order, result: Result | None, seconds: float
    ) -> None:
        """Publish what came of a call, then acknowledge it."""
        if result is not None:
            if isinstance(result, Failed) and result.code == "poison":
                await self._bury(message, "poison", result.message)
            crash.point("executor.before_result")
            await self._publish(order, result)
            crash.point("executor.after_result")
        ack(self._bus, message)
        crash.point("executor.after_ack")
        _account(served, order, result, seconds)

    async def _publish(self, order: Order, result: Result) -> None:
        """Publish a result, and again until it is stored: sent twice it is one result."""
        body, pause_s = wire.encode(result), 0.1
        while True:
            try:
                await self._bus.publish(subjects.result(order.tenant, order.call), body)
                return
            except PublishRefused as error:
                if not error.retry:
                    raise
                detail = str(error)
            except BusError as error:
                detail = str(error)
            log.warning("result not stored yet", call=order.call, detail=detail)
            await asyncio.sleep(pause_s)
            pause_s = min(2.0, pause_s * 2)

    async def _bury(self, message: Delivery, code: str, reason: str) -> None:
        await bury(self._bus, _SERVICE, message, code, reason)
        log.error("dead letter", subject=message.subject, seq=message.seq, code=code, reason=reason)


def _account(served: _Served, order: Order, result: Result | None, seconds: float) -> None:
    """Count and log one call: who, what and how long, and never what was said."""
    code = "" if result is None or isinstance(result, Completed) else getattr(result, "code", "lost")
    served.announcement.count(seconds, code)
    log.info(
        "call",
        tool=served.tool.spec.name,
        call=order.call,
        tenant=order.tenant,
        result=wire.type_of(type(result)) if result is not None else "not awaited",
        code=code,
        ms=int(seconds * 1000),
        delivered=order.delivered,
    )


async def _announced(bus: Bus, tool: Tool) -> Announcement:
    spec = tool.spec
    return await announce_tool(
        bus,
        spec,
        metadata={"callboard.started": str(int(time.time() * 1000))},
        subject=layout.tool_consumer(spec.name)["filter_subjects"][0],
        queue=names.durable(spec.name),
    )


@asynccontextmanager
async def serving(
    bus: Bus, groups: int, tools: Sequence[Tool], *, concurrency: int = 8, ack_wait_s: float = layout.ACK_WAIT_S
) -> AsyncIterator[Executor]:
    """Serve tools while the block runs, and drain when it ends."""
    executor = Executor(bus, groups, tools, concurrency, ack_wait_s=ack_wait_s)
    await executor.start()
    try:
        yield executor
    finally:
        await executor.stop()
