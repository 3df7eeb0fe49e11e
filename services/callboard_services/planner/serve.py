"""The planner as a process: goals, sub-agents and results in; one record a turn out."""

import asyncio

import msgspec
import structlog

from callboard.actor import Input
from callboard.bus import Delivery, layout
from callboard.bus.micro import announce_tool
from callboard.bus.registry import Registry
from callboard.runtime import Source, Worker
from callboard.service import Context
from callboard.tools.clock import BrokerClock
from callboard_contracts import ids, names, subjects, wire
from callboard_services.planner.actor import Planner
from callboard_services.planner.agent import AGENT
from callboard_services.planner.inputs import read_delegation, read_goal, read_input
from callboard_services.planner.state import State

log = structlog.get_logger()


def sources(groups: int, clock: BrokerClock) -> list[Source]:
    """Return everything a planner takes."""

    def goal(delivery: Delivery) -> Input:
        """Until the broker has told its time a goal counts as just published: one's own clock may be hours off."""
        return read_goal(delivery, clock.now_ms() if clock.told else delivery.time_ms)

    found = [Source(layout.GOALS, "planner", goal)]
    for group in range(groups):
        stream = layout.journal(group)
        found.append(Source(stream, "planner", read_input, group))
        found.append(Source(stream, names.durable(names.AGENT), read_delegation))
    return found


async def serve(context: Context) -> None:
    """Serve until told to stop."""
    registry = Registry(context.bus)
    await registry.start()
    clock = BrokerClock()
    await clock.set(context.bus)
    keeping_time = asyncio.create_task(clock.keep(context.bus))
    worker: Worker[State] = Worker(
        context.bus, context.groups, Planner(), sources(context.groups, clock), lambda: registry.facts
    )
    stop_answering = await context.bus.subscribe("cb.*.ask.planner.call", _Answers(context, worker).on_question)
    micro = await announce_tool(context.bus, AGENT)
    await worker.start()
    context.ready()
    await context.stop.wait()
    await micro.stop()
    await worker.stop()
    await stop_answering()
    keeping_time.cancel()
    await registry.stop()


class _Answers:
    """Whether a call is still open: an executor asks before it runs a redelivered one that has effects."""

    def __init__(self, context: Context, worker: Worker[State]) -> None:
        self._context = context
        self._worker = worker

    def on_question(self, question: Delivery) -> None:
        self._worker.spawn(self._answer(question))

    async def _answer(self, question: Delivery) -> None:
        tenant = question.subject.split(".")[1]
        try:
            call = str(msgspec.json.decode(question.body)["call"])
            state = await self._worker.state(subjects.Address.of_run(tenant, ids.run_of(call)))
        except (msgspec.MsgspecError, KeyError, TypeError, IndexError):
            log.warning("question not understood", subject=question.subject)
            return
        self._context.bus.send(question.reply, wire.encode({"open": call in state.open}))
