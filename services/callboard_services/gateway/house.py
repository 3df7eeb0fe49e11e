"""What every handler is given: the connection, the registry, the keys, and whether the door is open."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.requests import Request

from callboard.bus import Bus, layout
from callboard.bus.registry import Registry
from callboard.keys import KeyRing
from callboard_contracts import ids


class Principal(NamedTuple):
    """Who acts: the name of the key, and its groups. Without keys, on loopback, whoever is there, of no group."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class House:
    """One gateway. Nothing in it outlives the process, and any other gateway can take over."""

    bus: Bus
    groups: int
    tenant: str
    registry: Registry
    keys: KeyRing
    loopback: bool
    """It listens on loopback alone; then no key is needed as long as there is none."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    hang_up: Callable[[Request], None] = lambda _: None
    """Closes a connection whose client does not read."""
    patience_s: float = 30.0
    """How long a client may take to read a piece of a stream."""
    heartbeat_s: float = 15.0

    def journal_of(self, run: str) -> str:
        """Return the stream that holds a run."""
        return layout.journal_of(ids.tree_of(run), self.groups)


def house_of(request: Request) -> House:
    """Return the gateway that serves a request."""
    house: House = request.app.state.house
    return house


def principal_of(request: Request) -> str:
    """Return who acts: the name of the key."""
    return voter_of(request).name


def voter_of(request: Request) -> Principal:
    """Return who acts, with the groups of the key."""
    found: Principal = request.scope["callboard.principal"]
    return found
