"""What a span says beside its tree's records: a tool's effect, and the trace of a run that is taken up again."""

import msgspec

from callboard.bus import Bus, BusError, layout, reader
from callboard.bus.registry import Registry
from callboard.traces import Link, Span, begun
from callboard.traces import names as n
from callboard_contracts import ids, run, subjects, wire
from callboard_contracts.journal import Record


class LookUp:
    """Completes spans. `start` and `stop` it.

    :param groups: how many journals there are.
    """

    def __init__(self, bus: Bus, groups: int) -> None:
        self._bus = bus
        self._groups = groups
        self._registry = Registry(bus)

    async def start(self) -> None:
        """Follow the registry.

        :raises NoAnswer: the broker does not answer.
        """
        await self._registry.start()

    async def stop(self) -> None:
        """Follow it no more."""
        await self._registry.stop()

    async def completed(self, span: Span) -> Span:
        """Return a span with what can be found out; what cannot is left as it is."""
        entry = self._registry.facts.tools.get(str(span.attributes.get(n.TOOL_NAME, "")))
        effect = {"callboard.effect": str(entry.spec.effect)} if entry is not None else {}
        links = tuple([await self._linked(span, link) for link in span.links])
        return msgspec.structs.replace(span, attributes=span.attributes | effect, links=links)

    async def _linked(self, span: Span, link: Link) -> Link:
        """Return a link to a run with the trace that its goal came with, if it came with one."""
        other = str(link.attributes.get(n.RETRY_OF, ""))
        if not other:
            return link
        tree = ids.tree_of(other)
        subject = str(subjects.Address.of_run(str(span.attributes[n.TENANT]), tree).at("log", "accepted"))
        try:
            found = await reader.last(self._bus, layout.journal_of(tree, self._groups), subject)
            events = wire.decode(found.body, Record).events if found is not None else ()
        except (BusError, ValueError):
            return link
        known = begun("", tree)
        for event in events:
            if isinstance(event, run.Accepted):
                known.continues(event.traceparent)
        return msgspec.structs.replace(link, trace_id=known.trace_id)
