"""What follows from a record: its commands are sent and the actor's timer is set. Done again, it changes nothing."""

import asyncio
from typing import Any

import structlog

from callboard import crash
from callboard.actor import Actor, Command
from callboard.bus import Bus, Conflict
from callboard.runtime.timers import arm
from callboard_contracts import subjects, wire
from callboard_contracts.journal import Record

log = structlog.get_logger()


class Follower:
    """Does what follows from the records of one kind of actor."""

    def __init__(self, bus: Bus, actor: Actor[Any]) -> None:
        self._bus = bus
        self._actor = actor

    async def follow(self, address: subjects.Address, record: Record, timer_ms: int) -> None:
        """Send a record's commands, and set the timer when there is a time.

        :raises BusError: not everything was stored; do it again.
        """
        sending = [self._send(command) for command in self._actor.commands(address, record)]
        if timer_ms:
            sending.append(arm(self._bus, address, timer_ms))
        if sending:
            await asyncio.gather(*sending)

    async def _send(self, command: Command) -> None:
        headers = {wire.ID: command.id, wire.TYPE: wire.type_of(type(command.body))}
        if command.once:
            headers[wire.FENCE] = "0"
        try:
            await self._bus.publish(command.subject, wire.encode(command.body), headers)
        except Conflict:
            log.debug("command was sent before", id=command.id)
        crash.point(f"{self._actor.name}.after_command")
