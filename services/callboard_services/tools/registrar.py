"""The registrar: asks who is there twice a second, creates the durables of what is new, and keeps the registry.

A tool's durables exist before its entry does, so no grant can be published that nobody would ever pull.
"""

import asyncio
import contextlib
from collections.abc import Mapping

import structlog

from callboard.bus import Bus, BusError, NoAnswer, layout
from callboard.bus.errors import NobodyListens
from callboard.bus.micro import INFO
from callboard.bus.registry import Registry, put_tool
from callboard_contracts import names
from callboard_contracts.tool import Entry
from callboard_services.tools import admission, watch
from callboard_services.tools.admission import Instance
from callboard_services.tools.watch import Watch

log = structlog.get_logger()

POLL_S = 0.5
WINDOW_S = 0.25
"""How long a poll waits for answers."""


class Registrar:
    """Keeps the registry of tools. Any number may run at once."""

    def __init__(self, bus: Bus, groups: int, *, ack_wait_s: float = layout.ACK_WAIT_S) -> None:
        self._bus = bus
        self._groups = groups
        self._ack_wait_ns = int(ack_wait_s * 1e9)
        self._registry = Registry(bus)
        self._watch = Watch()
        self._ready: set[str] = set()
        """Tokens whose durables this process knows to be there."""
        self._polled = asyncio.Condition()

    async def run(self) -> None:
        """Poll until cancelled. A broker that does not answer is asked again."""
        try:
            await self._start()
            while True:
                await self._poll()
                async with self._polled:
                    self._polled.notify_all()
                await asyncio.sleep(POLL_S - WINDOW_S)
        finally:
            with contextlib.suppress(BusError):
                await self._registry.stop()

    async def _start(self) -> None:
        while True:
            try:
                await self._registry.start()
            except BusError as error:
                log.warning("registry not read yet", detail=str(error))
                await self._registry.stop()
                await asyncio.sleep(POLL_S)
            else:
                return

    async def admitted(self, tools: tuple[str, ...]) -> None:
        """Wait until all of these tools are admitted and running."""
        async with self._polled:
            await self._polled.wait_for(lambda: all(self._registry.facts.spec(tool) for tool in tools))

    def _known(self) -> dict[str, Entry]:
        return {names.token(name): entry for name, entry in self._registry.facts.tools.items()}

    async def _poll(self) -> None:
        try:
            answers = await self._bus.gather(INFO, b"", window_s=WINDOW_S)
            if not self._bus.connected:  # silence then says nothing about the tools
                return
            instances = [found for answer in answers if (found := admission.read(answer.body))]
            unreachable = await self._unreachable(watch.silent(self._watch, instances))
            known = self._known()
            self._watch = watch.observe(self._watch, instances, known, unreachable=unreachable)
            for token, problem in watch.disagreements(self._watch).items():
                log.warning("tool described twice", tool=names.tool(token), problem=problem)
            await self._write(watch.to_write(self._watch, known), known)
        except BusError as error:
            log.warning("registry not kept", detail=str(error))

    async def _unreachable(self, silent: tuple[Instance, ...]) -> frozenset[str]:
        """Return the ids under which the broker knows nobody any more."""
        there = await asyncio.gather(*(self._is_there(instance) for instance in silent))
        return frozenset(instance.id for instance, yes in zip(silent, there, strict=True) if not yes)

    async def _is_there(self, instance: Instance) -> bool:
        try:
            await self._bus.request(f"$SRV.PING.{instance.token}.{instance.id}", b"", timeout_s=WINDOW_S)
        except NobodyListens:
            return False
        except NoAnswer:
            return True
        return True

    async def _write(self, entries: Mapping[str, Entry], known: Mapping[str, Entry]) -> None:
        for token, entry in entries.items():
            if entry.admitted and entry.instances:
                await self._provide(token, entry)
            await put_tool(self._bus, token, entry)
            before = known.get(token)
            log.info(
                "tool",
                tool=entry.spec.name,
                version=entry.spec.version,
                instances=entry.instances,
                before=before.instances if before else None,
                problem=entry.problem,
            )

    async def _provide(self, token: str, entry: Entry) -> None:
        """Create the tool's durable on every journal, unless it is there."""
        if token in self._ready:
            return
        config = layout.tool_consumer(entry.spec.name, new=True) | {"ack_wait": self._ack_wait_ns}
        for group in range(self._groups):
            await layout.create_consumer(self._bus, layout.journal(group), config)
        self._ready.add(token)
