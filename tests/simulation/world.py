"""One seed, from its plan to what was violated."""

import asyncio
import gc
from contextvars import Context

import msgspec

from callboard.bus import layout
from callboard.service import Serve
from callboard.settings import Settings
from callboard.tools import serve
from callboard_contracts import wire
from callboard_contracts.dead import Letter
from callboard_services.approval.serve import serve as approval
from callboard_services.guard.serve import serve as guard
from callboard_services.planner.serve import serve as planner
from tests.simulation import history, invariants, load, plan, work
from tests.simulation.broker import Broker
from tests.simulation.chaos import Chaos
from tests.simulation.client import SimClient, connected
from tests.simulation.clock import virtual
from tests.simulation.dice import dice
from tests.simulation.invariants import Remembered
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network, Weather
from tests.simulation.nodes import House, Node
from tests.simulation.progress import Progress
from tests.simulation.provision import provision
from tests.simulation.starts import Starts
from tests.simulation.trace import Trace
from tests.simulation.voters import POLICY, Voters, gated
from tests.simulation.watch import watched

LIMIT_S = 400.0
"""Virtual time after the last fault within which everything must have come to an end."""
_LOOK_S = 0.5
_IGNORED = frozenset({"ledger", "memory", "notifier", "poster"})
"""Durables of services that are not simulated."""
_CONCURRENCY = 3


class Outcome(msgspec.Struct, frozen=True):
    """What became of a seed."""

    seed: int
    violations: tuple[str, ...]
    digest: str
    """Of the trace."""
    stored: int
    """How many messages."""
    virtual_s: float
    died_at: tuple[str, ...] = ()
    """The crash points at which a process died."""
    told: tuple[str, ...] = ()


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, loop: VirtualLoop, *, readable: bool = False, fences: bool = True) -> None:
        self.seed = seed
        self.loop = loop
        self.plan = plan.draw(seed)
        self.trace = Trace(loop.time, readable=readable)
        self.broker = Broker(loop, dice(seed, "broker"), fences=fences)
        self.network = Network(dice(seed, "network"), self.plan.weather)
        self.effects = work.Effects(self.trace.note)
        self.held: list[Remembered] = []
        self.problems: list[str] = []
        self.starts = Starts()
        house = self._house()
        self.nodes = {name: self._node(name, house) for name in plan.NODES}
        self.chaos = Chaos(self.plan, self.broker, self.network, self.nodes, self.trace, dice(seed, "chaos"))
        self.goals = load.goals(dice(seed, "load"))
        self.progress = Progress([one.goal.id for one in self.goals])

    def _house(self) -> House:
        return House(
            self.broker,
            self.network,
            Settings(ack_wait_s=self.plan.believed_ack_wait_s, concurrency=_CONCURRENCY),
            self.plan.groups,
            self.trace,
            self.plan.skews_s,
            self.problems.append,
        )

    def _node(self, name: str, house: House) -> Node:
        kind = name.partition("-")[0]
        tools = work.tools(self.seed, self.effects) if kind == "tools" else [work.stub_model(self.seed)]
        services: dict[str, Serve] = {"planner": planner, "guard": guard, "approval": approval}
        serving: Serve = services.get(kind) or (lambda context: serve(context, tools))
        return Node(name, serving, house, dice(self.seed, name))

    async def run(self) -> Outcome:
        """Play the seed to its end, and judge it."""
        model = work.stub_model(self.seed).spec
        provision(self.broker, self.plan.groups, self.plan.ack_wait_s, model, work.SPECS, POLICY)
        self.broker.on_stored += [self.trace.store, self.progress.see, self.starts.see]
        bus = await connected(
            SimClient(self.broker, Network(dice(self.seed, "people"), Weather()), Context()), "people"
        )
        said = load.words(dice(self.seed, "words"), self.goals)
        self.people = load.People(bus, self.broker, self.goals, said, dice(self.seed, "said"), self.progress)
        voters = Voters(self.people, lambda name: dice(self.seed, f"vote {name}"))
        self.broker.on_stored.append(voters.see)
        for node in self.nodes.values():
            node.start()
        self.chaos.start()
        ended = await self._until_over()
        left = ", ".join(self.progress.open) or "deliveries wait"
        found = [] if ended else [f"I1 not over after {LIMIT_S:.0f} s: {left}"]
        found += self.problems + self.loop.errors + self._letters()
        found += self.starts.violations()
        goals = [one.goal.id for one in self.goals]
        found += invariants.violations(history.read(self.broker), goals, self.effects.done, self.held, gated)
        return self.outcome(found)

    def outcome(self, found: list[str]) -> Outcome:
        """Return what became of it."""
        trace = self.trace
        return Outcome(
            self.seed,
            tuple(found),
            trace.digest(),
            len(trace.stored),
            self.loop.time(),
            tuple(self.chaos.died_at),
            tuple(trace.told),
        )

    async def _until_over(self) -> bool:
        since = 0.0
        while True:
            await asyncio.sleep(_LOOK_S)
            if not self.chaos.over or not self.people.done:
                since = self.loop.time()
            elif not self.progress.open and self._idle():
                return True
            elif self.loop.time() - since > LIMIT_S:
                return False
            elif self.progress.open:
                await self.people.resume_all()

    def _idle(self) -> bool:
        consumers = self.broker.consumers.values()
        return all(consumer.idle for consumer in consumers if consumer.name not in _IGNORED)

    def _letters(self) -> list[str]:
        """Return the dead letters that no fault explains."""
        letters = [wire.decode(stored.body, Letter) for stored in self.broker.streams[layout.DEAD].messages.values()]
        wrong = [letter for letter in letters if letter.code != "poison" or letter.service != "tools"]
        return [f"I0 dead letter of {each.service}: {each.code} {each.reason} {each.subject}" for each in wrong]


def simulate(seed: int, *, readable: bool = False, fences: bool = True) -> Outcome:
    """Play one seed in a loop of its own.

    :param fences: False: the broker ignores the fence, which a test does to see it noticed.
    """
    loop = VirtualLoop()
    world = World(seed, loop, readable=readable, fences=fences)
    gc.disable()  # when garbage is collected must not matter, and it is faster
    try:
        with (
            virtual(loop, dice(seed, "secrets")),
            watched(world.chaos.point, world.held.append, world.problems.append, world.plan),
        ):
            return _played(world, loop)
    finally:
        loop.close()
        gc.enable()


def _played(world: World, loop: VirtualLoop) -> Outcome:
    try:
        return loop.run_until_complete(world.run())
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed is to be named
        return world.outcome([f"the simulation itself failed: {error!r}"])
    finally:
        loop.run_until_complete(loop.bury())
