"""Notices to webhooks: each notice becomes one posting for each webhook that wants it, stored before it is tried.

A posting is a message of its own, fenced at 0: so one webhook's failure sends nothing twice to another, a restart
forgets nothing, and several gateways share the work. A webhook that does not answer holds up its own postings alone.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from hashlib import sha256

import httpx
import msgspec
import structlog

from callboard.bus import Bus, BusError, Conflict, Delivery, Puller, Room, ack, in_progress, layout, nak, term
from callboard.dead_letters import bury
from callboard.tasks import Tasks
from callboard_contracts import notice, subjects, wire
from callboard_services.gateway.lane import Lane
from callboard_services.gateway.posting import DELAYS_S, TIMEOUT_S, PostError, kind
from callboard_services.gateway.webhooks import Endpoint

log = structlog.get_logger()

_ROOM = 1024
_AGAIN_S = 2.0
_ALIVE_S = 10.0


class Notifier:
    """Pulls notices and postings. With no webhook it does nothing, and notices are gone after four days."""

    def __init__(
        self,
        bus: Bus,
        endpoints: tuple[Endpoint, ...],
        url: str,
        *,
        delays_s: Sequence[float] = DELAYS_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._bus = bus
        self._delays_s = delays_s
        self._endpoints = endpoints
        self._client = httpx.AsyncClient(follow_redirects=False, timeout=None)  # noqa: S113 - `post` has its own, over all
        self._lanes = {endpoint.name: Lane(endpoint, self._client, url, timeout_s) for endpoint in endpoints}
        self._tasks = Tasks()
        self._notices = Puller(bus, layout.NOTICES, "notifier", self._on_notice)
        self._posts = Puller(bus, layout.NOTICES, "poster", self._on_post, room=Room(_ROOM))

    async def start(self) -> None:
        """Begin."""
        if self._endpoints:
            log.info("webhooks", names=[endpoint.name for endpoint in self._endpoints])
            await self._notices.start()
            await self._posts.start()

    async def stop(self) -> None:
        """Stop. What was not posted is delivered again, here or to another gateway."""
        if self._endpoints:
            await self._notices.stop()
            await self._posts.stop()
        await self._tasks.stop()
        await self._client.aclose()

    def _on_notice(self, delivery: Delivery) -> None:
        self._spawn(self._fan_out(delivery), self._notices)

    def _on_post(self, delivery: Delivery) -> None:
        self._spawn(self._posted(delivery), self._posts)

    def _spawn(self, work: Coroutine[None, None, None], puller: Puller) -> None:
        self._tasks.spawn(work).add_done_callback(lambda _: puller.done())

    async def _fan_out(self, delivery: Delivery) -> None:
        """Store a posting for each webhook that wants the notice, then let go of it."""
        try:
            said = wire.decode(delivery.body, notice.Notice)
        except msgspec.MsgspecError as error:
            await self._give_up(delivery, "undecodable", str(error))
            return
        try:
            for endpoint in self._endpoints:
                if endpoint.wants(kind(said)):
                    await self._store(delivery, endpoint, said.id)
        except BusError as error:
            log.warning("notice waits", id=said.id, reason=str(error))
            nak(self._bus, delivery, _AGAIN_S)
            return
        ack(self._bus, delivery)

    async def _store(self, delivery: Delivery, endpoint: Endpoint, id_: str) -> None:
        tenant = delivery.stored_subject.split(".")[1]
        subject = subjects.post(tenant, endpoint.name, sha256(id_.encode()).hexdigest()[:32])
        try:
            await self._bus.publish(subject, delivery.body, {wire.FENCE: "0"})
        except Conflict:
            log.debug("posting was stored before", id=id_, webhook=endpoint.name)

    async def _posted(self, delivery: Delivery) -> None:
        name = delivery.stored_subject.split(".")[3]
        lane = self._lanes.get(name)
        if lane is None:
            await self._give_up(delivery, "webhook_failed", f"there is no webhook {name!r} any more")
            return
        alive = asyncio.create_task(self._alive(delivery))
        try:
            await lane.post(wire.decode(delivery.body, notice.Notice))
            ack(self._bus, delivery)
        except PostError as error:
            await self._failed(delivery, name, error)
        finally:
            alive.cancel()

    async def _alive(self, delivery: Delivery) -> None:
        while True:
            await asyncio.sleep(_ALIVE_S)
            in_progress(self._bus, delivery)

    async def _failed(self, delivery: Delivery, name: str, error: PostError) -> None:
        tries = delivery.delivered
        log.warning("notice not taken", webhook=name, tries=tries, reason=str(error))
        if error.for_good or tries > len(self._delays_s):
            await self._give_up(delivery, "webhook_failed", f"webhook {name!r}, {tries} tries: {error}")
        else:
            nak(self._bus, delivery, self._delays_s[tries - 1])

    async def _give_up(self, delivery: Delivery, code: str, reason: str) -> None:
        try:
            await bury(self._bus, "gateway", delivery, code, reason)
            term(self._bus, delivery)
        except BusError:
            nak(self._bus, delivery, _AGAIN_S)
