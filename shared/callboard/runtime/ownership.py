"""Who prefers which journal group: the live workers of a service, in the order of their ids, take turns.

A worker pulls every group, and the broker serves the puller with the best priority; when its connection dies the next
one is served at once. That is an optimisation: two workers on one key only cost a lost race, the fence decides. What
the dead one had taken and not acknowledged comes again at once, because whoever takes its groups over resets them.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog

from callboard.bus import Bus, BusError, micro
from callboard.bus.message import Delivery

log = structlog.get_logger()


class _Pong(msgspec.Struct):
    id: str = ""


_LOOK_S = 1.0
_WINDOW_S = 0.15
_MISSES = 2
"""A worker that does not answer this often in a row is gone."""
_WORST = 9


class Ownership:
    """The place of one worker among those of its service.

    :param changed: called when it changes, with what this worker takes over from one that is gone: its journal
    groups, and None for what has no owner when this worker is the first of those that are left.
    """

    def __init__(self, bus: Bus, service: str, groups: int, changed: Callable[[Sequence[int | None]], None]) -> None:
        self._bus = bus
        self._service = service
        self._groups = groups
        self._changed = changed
        self._peers: dict[str, int] = {}
        """Id → how often it was missed."""
        self._announcement: micro.Announcement | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> bool:
        """Announce this worker, find the others, and tell whether there are none.

        :raises BusError: the broker does not answer.
        """
        version, text = "1.0.0", f"The {self._service} of Callboard."
        self._announcement = await micro.announce(self._bus, name=self._service, version=version, description=text)
        await self._look()
        self._task = asyncio.get_running_loop().create_task(self._keep_looking())
        return len(self._peers) == 1

    async def stop(self) -> None:
        """Leave: the others take over."""
        if self._task is not None:
            self._task.cancel()
        if self._announcement is not None:
            await self._announcement.stop()

    def priority(self, group: int) -> int:
        """Return with which priority this worker pulls a group; 0 is the best."""
        return self._priority(sorted(self._peers), group)

    def _priority(self, peers: Sequence[str], group: int) -> int:
        own = self._announcement.id if self._announcement else ""
        if own not in peers:
            return _WORST
        return min(_WORST, (peers.index(own) - group) % len(peers))

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._again()
            except BusError as error:
                log.warning("workers not found", service=self._service, detail=str(error))

    async def _again(self) -> None:
        before = sorted(self._peers)
        await self._look()
        after = sorted(self._peers)
        if before == after:
            return
        gone = set(before) - set(after)
        mine = [g for g in range(self._groups) if self.priority(g) == 0]
        taken: list[int | None] = [g for g in mine if gone and self._priority(before, g) != 0]
        if gone and self._announcement is not None and after[0] == self._announcement.id:
            taken.append(None)
        log.info("workers", service=self._service, alive=len(after), groups=mine)
        self._changed(taken)

    async def _look(self) -> None:
        found = await self._bus.gather(f"$SRV.PING.{self._service}", b"", window_s=_WINDOW_S)
        alive = {_id(answer) for answer in found} | ({self._announcement.id} if self._announcement else set())
        missed = {peer: misses + 1 for peer, misses in self._peers.items() if peer not in alive}
        self._peers = dict.fromkeys(alive, 0) | {peer: n for peer, n in missed.items() if n < _MISSES}


def _id(answer: Delivery) -> str:
    return msgspec.json.decode(answer.body, type=_Pong).id
