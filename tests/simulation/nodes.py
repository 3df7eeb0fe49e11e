"""The processes of the system: the real services, each over a connection of its own, that can die and come back."""

import asyncio
from collections.abc import Callable
from contextvars import Context as Variables
from random import Random

import msgspec

from callboard.bus import BusError
from callboard.service import Context, Serve
from callboard.settings import Settings
from tests.simulation.broker import Broker
from tests.simulation.client import SimClient, connected
from tests.simulation.loop import LIFE, Life
from tests.simulation.network import Network
from tests.simulation.trace import Trace

_RESTART_S = 0.3


class House(msgspec.Struct, frozen=True):
    """What all processes share."""

    broker: Broker
    network: Network
    settings: Settings
    groups: int
    trace: Trace
    skews_s: tuple[float, ...]
    """How far the wall clock of a life may be off."""
    problem: Callable[[str], None]
    """Is told what should never happen."""


class Node:
    """A process that a supervisor restarts, life after life."""

    def __init__(self, name: str, serve: Serve, house: House, chance: Random) -> None:
        self.name = name
        self.life: Life | None = None
        self.client: SimClient | None = None
        self._serve = serve
        self._house = house
        self._broker = house.broker
        self._trace = house.trace
        self._chance = chance
        self._births = 0
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Begin a life, unless one goes on."""
        if self.life is not None:
            return
        self._births += 1
        life = self.life = Life(f"{self.name}#{self._births}")
        life.skew_s = self._chance.choice(self._house.skews_s)
        variables = Variables()
        variables.run(LIFE.set, life)
        self._stop = asyncio.Event()
        self.client = SimClient(self._broker, self._house.network, variables)
        self._trace.note(f"** {life.name} starts")
        self._broker.loop.create_task(self._live(life, self.client, self._stop), context=variables)

    async def _live(self, life: Life, client: SimClient, stop: asyncio.Event) -> None:
        try:
            if not self._broker.up:
                raise BusError("there is no broker")
            bus = await connected(client, self.name)
            await self._serve(Context(bus, self._house.groups, self._house.settings, stop))
        except BusError as error:
            self._trace.note(f"** {life.name} gives up: {error}")
        except Exception as error:  # noqa: BLE001 - a service's bug is what is looked for
            self._house.problem(f"{life.name} died of {error!r}")
        self.kill("ended", _RESTART_S)

    def kill(self, why: str, for_s: float) -> None:
        """End the life on the spot, as under `kill -9`, and begin another after a while."""
        life, client = self.life, self.client
        if life is None or client is None:
            return
        self._trace.note(f"** {life.name} dies: {why}")
        life.dead = True
        client.cut()
        client.is_closed = True
        self.life = self.client = None
        self._broker.at(self._broker.now() + for_s, self.start)

    def stop(self) -> None:
        """Ask the life to end by itself, as under SIGTERM."""
        if self.life is not None:
            self._trace.note(f"** {self.life.name} is told to stop")
            self._stop.set()

    def freeze(self, for_s: float) -> None:
        """Hold the life still, as under SIGSTOP, and let it go on after a while."""
        life = self.life
        if life is not None and not life.frozen:
            self._trace.note(f"** {life.name} freezes for {for_s:.1f} s")
            life.frozen = True
            self._broker.at(self._broker.now() + for_s, self._thaw, life)

    def _thaw(self, life: Life) -> None:
        life.frozen = False
        if not life.dead:
            self._trace.note(f"** {life.name} goes on")
            held, life.held = life.held, type(life.held)()
            self._broker.loop._ready.extend(held)

    def cut(self, for_s: float) -> None:
        """Break the connection; the client finds the broker again after a while."""
        client = self.client
        if client is not None:
            self._trace.note(f"** {self.name} loses its connection")
            client.cut()
            self._broker.at(self._broker.now() + for_s, client.reconnect)

    @property
    def steady(self) -> bool:
        """Whether it lives, is connected and runs."""
        return self.life is not None and not self.life.frozen and self.client is not None and self.client.is_connected
