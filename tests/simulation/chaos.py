"""Carries a plan's faults out: at their times, and at the crash points that processes pass."""

import asyncio
from collections.abc import Mapping
from random import Random

from tests.simulation.broker import Broker
from tests.simulation.loop import LIFE
from tests.simulation.network import Network, Weather
from tests.simulation.nodes import Node
from tests.simulation.plan import Fault, Plan
from tests.simulation.trace import Trace

_LONGEST_DEATH_S = 3.0
_MOSTLY = 0.7


class Chaos:
    """Makes trouble until the plan says that it ends; from then on all works but the crash point that it names."""

    def __init__(
        self, plan: Plan, broker: Broker, network: Network, nodes: Mapping[str, Node], trace: Trace, chance: Random
    ) -> None:
        self._plan = plan
        self._broker = broker
        self._network = network
        self._nodes = nodes
        self._trace = trace
        self._chance = chance
        self._crashes = plan.crash_times
        self.died_at: dict[str, None] = {}
        """The crash points at which a process died."""
        self._end_s = max([plan.faults_end_s, *(fault.at_s + fault.for_s for fault in plan.faults)])

    def start(self) -> None:
        """Set everything up that is to go wrong."""
        for fault in self._plan.faults:
            self._broker.at(fault.at_s, self._strike, fault)
        self._broker.at(self._plan.faults_end_s, self._calm)

    @property
    def over(self) -> bool:
        """Whether nothing goes wrong any more, and everybody is back."""
        return self._broker.now() > self._end_s and all(node.steady for node in self._nodes.values())

    def _calm(self) -> None:
        self._trace.note("** the network is calm")
        self._network.weather = Weather()

    def _strike(self, fault: Fault) -> None:
        match fault.kind:
            case "kill":
                self._nodes[fault.node].kill("killed", fault.for_s)
            case "freeze":
                self._nodes[fault.node].freeze(fault.for_s)
            case "cut":
                self._nodes[fault.node].cut(fault.for_s)
            case "stop":
                self._nodes[fault.node].stop()
            case "broker":
                self._down(fault.for_s)

    def _down(self, for_s: float) -> None:
        if not self._broker.up:
            return
        self._trace.note("** the broker is killed")
        self._broker.up = False
        for node in self._nodes.values():
            if node.client is not None:
                node.client.cut()
        for consumer in self._broker.consumers.values():
            consumer.pulls.clear()
            if self._plan.forgets:
                consumer.lose_state(self._chance.randint(0, self._plan.forgets))
        self._broker.at(self._broker.now() + for_s, self._up)

    def _up(self) -> None:
        self._trace.note("** the broker is back")
        self._broker.up = True
        for node in self._nodes.values():
            if node.client is not None:
                self._broker.at(self._broker.now() + self._chance.uniform(0.01, 0.5), node.client.reconnect)

    def point(self, name: str) -> None:
        """Stand in for `callboard.crash.point`.

        :raises asyncio.CancelledError: the process is dead; whatever it still does, nobody hears.
        """
        life = LIFE.get(None)
        if life is not None and not life.dead and self._dies(name):
            self.died_at[name] = None
            self._nodes[life.name.partition("#")[0]].kill(f"at {name}", self._chance.uniform(0.01, _LONGEST_DEATH_S))
            raise asyncio.CancelledError

    def _dies(self, name: str) -> bool:
        chance = self._plan.crash_chance
        if name == self._plan.crash_at and self._crashes and self._chance.random() < _MOSTLY:
            self._crashes -= 1
            return True
        return bool(chance) and self._broker.now() <= self._plan.faults_end_s and self._chance.random() < chance
