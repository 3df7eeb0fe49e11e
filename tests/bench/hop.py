"""The cheapest way from a message to the one that follows: no task, no future and no timer a message."""

from collections.abc import Callable

from callboard.bus import Bus, Delivery, Puller, ack

Handler = Callable[["Hop", Puller, Delivery], None]


class Hop:
    """Publishes what follows from a delivery, and acknowledges it when the broker has stored that."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._prefix = f"{bus.prefix}-hop"
        self._count = 0
        self._waiting: dict[str, tuple[Puller, Delivery]] = {}

    async def start(self) -> None:
        """Listen for the broker's answers."""
        await self.bus.client.listen(f"{self._prefix}.*", self._on_stored)

    async def pull(self, stream: str, durable: str, handler: Handler) -> Puller:
        """Take what a consumer has."""
        puller = Puller(self.bus, stream, durable, lambda delivery: handler(self, puller, delivery))
        await puller.start()
        return puller

    def publish(self, subject: str, body: bytes, block: bytes, puller: Puller, cause: Delivery) -> None:
        """Publish, and acknowledge the cause later."""
        self._count += 1
        reply = f"{self._prefix}.{self._count}"
        self._waiting[reply] = (puller, cause)
        self.bus.client.write(subject, reply, body, block)

    def _on_stored(self, answer: Delivery) -> None:
        if b'"error"' in answer.body:
            raise RuntimeError(answer.body.decode())
        puller, cause = self._waiting.pop(answer.subject)
        ack(self.bus, cause)
        puller.done()
