"""NATS micro: a process says what it is and how it does, in the standard format that `nats micro ls` reads.

Three subscriptions a service, answered from the reader: nats-py's own module would need nine and a task for each.
"""

import secrets
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from callboard.bus.bus import Bus
from callboard.bus.message import Delivery
from callboard_contracts import names, wire
from callboard_contracts.tool import Spec

INFO: Final = "$SRV.INFO"
_TYPE = "io.nats.micro.v1.{}_response"


class Announcement:
    """One announced service. `count` what it does, `stop` when it ends."""

    def __init__(
        self, bus: Bus, name: str, version: str, description: str, metadata: dict[str, str], endpoint: dict[str, str]
    ) -> None:
        self.id = secrets.token_hex(11)
        self._bus = bus
        self._base = {"name": name, "id": self.id, "version": version, "metadata": metadata}
        self._description = description
        self._endpoint = endpoint
        self._started = datetime.now(UTC).isoformat()
        self._sids: list[int] = []
        self._requests = self._errors = self._ns = 0
        self._last_error = ""

    def count(self, seconds: float, error: str = "") -> None:
        """Count one thing that was done."""
        self._requests += 1
        self._ns += int(seconds * 1e9)
        if error:
            self._errors += 1
            self._last_error = error

    async def start(self) -> None:
        """Begin to answer."""
        name = self._base["name"]
        for subject in ("$SRV.*", f"$SRV.*.{name}", f"$SRV.*.{name}.{self.id}"):
            self._sids.append(await self._bus.client.listen(subject, self._answer))
        await self._bus.flush()

    async def stop(self) -> None:
        """Answer no more."""
        for sid in self._sids:
            await self._bus.client.unlisten(sid)

    def _answer(self, message: Delivery) -> None:
        verb = message.subject.split(".", 2)[1]
        match verb:
            case "PING":
                more: dict[str, Any] = {}
            case "INFO":
                more = {"description": self._description, "endpoints": [self._endpoint | {"metadata": {}}]}
            case "STATS":
                more = {"started": self._started, "endpoints": [self._endpoint | self._stats()]}
            case _:
                return
        if message.reply:
            body = {"type": _TYPE.format(verb.lower())} | self._base | more
            self._bus.send(message.reply, msgspec.json.encode(body))

    def _stats(self) -> dict[str, Any]:
        return {
            "num_requests": self._requests,
            "num_errors": self._errors,
            "last_error": self._last_error,
            "processing_time": self._ns,
            "average_processing_time": self._ns // max(1, self._requests),
            "data": None,
        }


async def announce(
    bus: Bus,
    *,
    name: str,
    version: str,
    description: str,
    metadata: dict[str, str] | None = None,
    subject: str = "",
    queue: str = "q",
) -> Announcement:
    """Announce a service. `name` holds no dots; `subject` and `queue` tell where it takes what it does.

    :raises NoAnswer: the broker does not answer.
    """
    endpoint = {"name": name, "subject": subject or name, "queue_group": queue}
    announcement = Announcement(bus, name, version, description, metadata or {}, endpoint)
    await announcement.start()
    return announcement


async def announce_tool(bus: Bus, spec: Spec, **more: Any) -> Announcement:
    """Announce a tool as the registrar wants it. `more` is what else `announce` takes; metadata is added to the spec.

    :raises NoAnswer: the broker does not answer.
    """
    metadata = {"callboard.tool": wire.encode(spec).decode()} | more.pop("metadata", {})
    return await announce(
        bus,
        name=names.token(spec.name),
        version=spec.version,
        description=spec.description,
        metadata=metadata,
        **more,
    )
