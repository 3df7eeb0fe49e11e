"""What happens to spans between the records and the collector: chosen, completed, and sent until they are taken."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Self

from callboard.bus import Bus
from callboard.traces import Span
from callboard.traces.environment import Environment, Target
from callboard_services.ledger.traces.contents import Contents
from callboard_services.ledger.traces.form import Form
from callboard_services.ledger.traces.lookup import LookUp
from callboard_services.ledger.traces.sender import Sender


class Sending:
    """The way of spans. An async context manager.

    :param groups: how many journals there are. :param contents: send prompts, arguments and outputs as well.
    """

    def __init__(self, bus: Bus, groups: int, target: Target, environment: Environment, *, contents: bool) -> None:
        self._sender = Sender(target)
        self._look = LookUp(bus, groups)
        self._contents = Contents(bus) if contents else None
        self._sampler = environment.sampler
        self._form = Form(target.protocol, environment.resource)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._sender.aclose)
        self._stack.push_async_callback(self._look.stop)
        try:
            await self._look.start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def send(self, stream: str, spans: Sequence[Span]) -> None:
        """Return when those of a journal's spans that are wanted were taken."""
        kept = [span for span in spans if self._sampler.keeps(span.trace_id, span.sampled)]
        wanted = [await self._look.completed(span) for span in kept]
        if self._contents is not None:
            wanted = [await self._contents.added(stream, span) for span in wanted]
        await self._sender.send(wanted, self._form.traces)
