"""A system without weather for hours, days and weeks of virtual time: a test says what its tools and its model do, and
who dies when. Whatever happens, the invariants are checked in the end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import Context
from typing import Any, TypeVar
from unittest.mock import patch

import msgspec

from callboard.bus import puller, registry
from callboard.runtime import Worker, ownership
from callboard.service import Serve
from callboard.settings import Settings
from callboard.tools import Tool, ToolContext, clock, serve, stops
from callboard_contracts import ids, subjects, wire
from callboard_contracts.goal import Limits, Submit
from callboard_contracts.journal import Event, Record
from callboard_contracts.model import Answer, Ask, Request
from callboard_contracts.policy import Policy
from callboard_services.approval.serve import serve as approval
from callboard_services.guard.serve import serve as guard
from callboard_services.planner.serve import serve as planner
from tests.simulation import history, invariants, plan, work
from tests.simulation.broker import Broker
from tests.simulation.client import SimClient, connected
from tests.simulation.clock import EPOCH_S, virtual
from tests.simulation.controls import TENANT, Said
from tests.simulation.dice import dice
from tests.simulation.invariants import Remembered
from tests.simulation.loop import LIFE, Life, VirtualLoop
from tests.simulation.network import Network, Weather
from tests.simulation.nodes import House, Node
from tests.simulation.provision import provision
from tests.simulation.streams import Stored, Stream
from tests.simulation.trace import Trace
from tests.simulation.watch import watched

T = TypeVar("T")
E = TypeVar("E")
Says = Callable[[ToolContext, Request], Answer]
"""What the model answers."""

GROUPS = 2
CORE = ("planner-1", "guard-1", "models-1")
_SKEWS_S = (0.0, -3600.0, 3600.0)
_SELDOM_S = 600.0
"""How often idle processes look around: by the second it would be all that happens in a week."""


class Work(msgspec.Struct, frozen=True):
    """A tool of the simulation that takes another time, its effect half-way; both times in seconds."""

    name: str
    takes_s: float
    timeout_s: float


class Begun(msgspec.Struct, frozen=True):
    """A call that a tool began, which attempt it was, and when, in seconds since the beginning."""

    call: str
    attempt: int
    at_s: float


class Happened(msgspec.Struct, frozen=True):
    """An event, and when its record was stored, in seconds since the beginning."""

    at_s: float
    run: str
    event: Event


class Stage:
    """See the module. Nothing runs until `start`."""

    def __init__(self, says: Says, *works: Work, ack_wait_s: float = 30.0, policy: Policy | None = None) -> None:
        self.loop = VirtualLoop()
        self.broker = Broker(self.loop, dice(0, "broker"))
        self.begun: list[Begun] = []
        self.effects = work.Effects(lambda _: None)
        self.happened: list[Happened] = []
        self.held: list[Remembered] = []
        self.problems: list[str] = []
        self.workers: list[tuple[Life, Worker[Any]]] = []
        self._goals: list[str] = []
        self._words = 0
        self._network = Network(dice(0, "network"), Weather())
        self._waiting: list[tuple[Callable[[Happened], bool], asyncio.Future[Happened]]] = []
        model, tools = Tool(work.stub_model(0).spec, _model(says)), [self._tool(each) for each in works]
        provision(self.broker, GROUPS, ack_wait_s, model.spec, [tool.spec for tool in tools], policy)
        self.nodes = self._nodes({"models": [model], "tools": tools}, ack_wait_s)
        self.broker.on_stored.append(self._see)

    def _nodes(self, tools: dict[str, list[Tool]], ack_wait_s: float) -> dict[str, Node]:
        settings, trace = Settings(ack_wait_s=ack_wait_s), Trace(self.loop.time, readable=False)
        house = House(self.broker, self._network, settings, GROUPS, trace, _SKEWS_S, self.problems.append)

        def node(name: str) -> Node:
            services: dict[str, Serve] = {"planner": planner, "guard": guard, "approval": approval}
            kind = name.partition("-")[0]
            serving: Serve = services.get(kind) or (lambda context: serve(context, tools[kind]))
            return Node(name, serving, house, dice(0, name))

        return {name: node(name) for name in (*CORE, "approval-1", "tools-1", "tools-2")}

    def _tool(self, each: Work) -> Tool:
        (spec,) = (spec for spec in work.SPECS if spec.name == each.name)

        async def handle(context: ToolContext, arguments: Any) -> int:
            self.begun.append(Begun(context.call, context.attempt, self.loop.time()))
            await asyncio.sleep(each.takes_s / 2)
            self.effects.happen(context)
            await asyncio.sleep(each.takes_s / 2)
            return int(arguments["n"])

        return Tool(msgspec.structs.replace(spec, timeout_s=each.timeout_s), handle)

    async def open(self) -> None:
        """Let people speak."""
        self._bus = await connected(SimClient(self.broker, self._network, Context()), "people")

    def start(self, *names: str) -> None:
        """Begin the lives of processes."""
        for name in names:
            self.nodes[name].start()

    async def restart_all(self, every_s: float, times: int) -> None:
        """Kill every process that lives, again and again, and start them a minute later."""
        for _ in range(times):
            await asyncio.sleep(every_s)
            for node in self.nodes.values():
                node.kill("a night", 60.0)

    async def submit(self, **limits: Any) -> str:
        """Publish a goal; return its run."""
        at_ms = int((EPOCH_S + self.loop.time()) * 1000)
        goal = Submit(
            id=ids.ulid(at_ms, len(self._goals).to_bytes(10, "big")),
            objective="the whole",
            limits=Limits(**({"max_turns": 1000, "max_calls": 1000} | limits)),
        )
        self._goals.append(goal.id)
        await self._publish(str(subjects.Goal(TENANT)), goal, goal.id)
        return goal.id

    async def say(self, said: Said) -> None:
        """Publish a word of control."""
        self._words += 1
        await self._publish(said.subject, said.body, f"said:{self._words}")

    async def _publish(self, subject: str, body: msgspec.Struct, id_: str) -> None:
        await self._bus.publish(subject, wire.encode(body), {wire.ID: id_, wire.TYPE: wire.type_of(type(body))})

    async def happens(self, kind: type[E], run: str, within_s: float) -> tuple[float, E]:
        """Wait for the first event of a kind about a run; return when it was stored, and the event.

        :raises TimeoutError: it did not happen in time.
        """

        def fits(one: Happened) -> bool:
            return one.run == run and isinstance(one.event, kind)

        future: asyncio.Future[Happened] = self.loop.create_future()
        before = next((one for one in self.happened if fits(one)), None)
        self._waiting.append((fits, future))
        found: Happened = before if before is not None else await asyncio.wait_for(future, within_s)
        assert isinstance(found.event, kind)
        return found.at_s, found.event

    def all_of(self, kind: type[E], run: str) -> list[E]:
        """Return every event of a kind about a run."""
        return [one.event for one in self.happened if one.run == run and isinstance(one.event, kind)]

    def _see(self, _: Stream, stored: Stored) -> None:
        if stored.tokens[6:7] != ["log"]:
            return
        for event in wire.decode(stored.body, Record).events:
            one = Happened(self.loop.time(), stored.tokens[5], event)
            self.happened.append(one)
            for fits, future in self._waiting:
                if not future.done() and fits(one):
                    future.set_result(one)

    def workers_now(self) -> list[Worker[Any]]:
        """Return the workers that live."""
        return [worker for life, worker in self.workers if not life.dead]

    def tasks_now(self, name: str) -> int:
        """Return how many tasks a process has that are not done."""
        life = self.nodes[name].life
        _, tasks = self.loop._lives[id(life)]
        return sum(not task.done() for task in tasks)

    def violations(self) -> list[str]:
        """Return what does not hold in the end."""
        found = invariants.violations(history.read(self.broker), self._goals, self.effects.done, self.held)
        letters = [stored.body.decode() for stored in self.broker.streams["DEAD"].messages.values()]
        return [*found, *self.problems, *self.loop.errors, *letters]


def _model(says: Says) -> Any:
    async def handle(context: ToolContext, arguments: Any) -> Answer:
        await asyncio.sleep(0.1)
        return says(context, msgspec.convert(arguments, Request))

    return handle


def asks(*tools: str) -> Says:
    """Return a model that uses tools one after the other, and is then done."""

    def says(context: ToolContext, _: Request) -> Answer:
        step = ids.turn_of(context.call) // 2
        if step < len(tools):
            return Answer(asks=(Ask(tool=tools[step], arguments={"n": step}),))
        return Answer(finished=True, output="done")

    return says


@contextmanager
def _calm(stage: Stage) -> Iterator[None]:
    begin: Callable[[Worker[Any]], Awaitable[None]] = Worker.start

    async def noted(worker: Worker[Any]) -> None:
        stage.workers.append((LIFE.get(), worker))
        await begin(worker)

    with ExitStack() as stack:
        stack.enter_context(virtual(stage.loop, dice(0, "secrets")))
        set_up = msgspec.structs.replace(plan.draw(0), snapshot_every=16)
        stack.enter_context(watched(lambda _: None, stage.held.append, stage.problems.append, set_up))
        stack.enter_context(patch.object(Worker, "start", noted))
        for where, name in ((ownership, "_LOOK_S"), (puller, "_EXPIRES_S"), (registry, "_RELOAD_S")):
            stack.enter_context(patch.object(where, name, _SELDOM_S))
        stack.enter_context(patch.object(puller, "_SILENT_S", _SELDOM_S + 2))
        stack.enter_context(patch.object(clock, "_AGAIN_S", _SELDOM_S))
        stack.enter_context(patch.object(stops, "_LONG_S", 30.0))
        yield


def play(scene: Callable[[Stage], Awaitable[T]], stage: Stage) -> T:
    """Play a scene, and check that it violates nothing.

    :raises AssertionError: it does.
    """
    loop = stage.loop

    async def whole() -> T:
        await stage.open()
        return await scene(stage)

    with _calm(stage):
        try:
            result = loop.run_until_complete(whole())
            assert not (found := stage.violations()), found[:5]
            return result
        finally:
            loop.run_until_complete(loop.bury())
            loop.close()
