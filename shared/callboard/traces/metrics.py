"""What spans add up to, from the beginning on: a fold, so that it can be stored with the position it belongs to.

Histograms have the bounds that the conventions advise.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from callboard.traces import names as n
from callboard.traces.span import Span

_TOKENS: Final = (1.0, *(float(4**power) for power in range(1, 14)))
_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_LONG_SECONDS: Final = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 6 * 3600.0, 86_400.0, 7 * 86_400.0)
_MOST: Final = 2000
"""So many series are counted apart; what would be more is counted as one that says so."""
_REST: Final = (("otel.metric.overflow", "true"),)

Labels = tuple[tuple[str, str], ...]


class Sum(msgspec.Struct, tag="sum"):
    """A number that only grows, or, as a gauge, one that stands where it stands."""

    name: str
    unit: str
    attributes: Labels
    value: int = 0
    gauge: bool = False


class Histogram(msgspec.Struct, tag="histogram"):
    """How often values lay between bounds."""

    name: str
    unit: str
    attributes: Labels
    bounds: tuple[float, ...]
    buckets: list[int]
    count: int = 0
    total: float = 0.0

    def record(self, value: float) -> None:
        """Count a value: a bound belongs to what lies below it."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.count += 1
        self.total += value


class Metrics(msgspec.Struct, dict=True):
    """All series, since a time (ms since 1970)."""

    since_ms: int
    series: list[Sum | Histogram] = []

    def __post_init__(self) -> None:
        self._by_key = {(one.name, one.attributes): one for one in self.series}

    def by_name(self) -> Iterator[tuple[str, list[Sum | Histogram]]]:
        """Yield each metric with its series."""
        found: dict[str, list[Sum | Histogram]] = {}
        for one in self.series:
            found.setdefault(one.name, []).append(one)
        yield from found.items()

    def take(self, spans: Iterable[Span]) -> None:
        """Count spans that have ended."""
        for span in spans:
            match span.attributes.get(n.OPERATION):
                case n.CHAT:
                    self._chat(span)
                case n.EXECUTE_TOOL:
                    self._tool(span)
                case n.INVOKE_AGENT:
                    self._run(span)
                case _:  # a wait for people, or a late result
                    pass
            self._cost(span)

    def gauge(self, name: str, unit: str, value: int) -> None:
        """Say where something stands."""
        self._sum(name, unit, ()).value = value
        self._sum(name, unit, ()).gauge = True

    def _chat(self, span: Span) -> None:
        about = _labels(span, n.OPERATION, n.PROVIDER, n.REQUEST_MODEL, n.RESPONSE_MODEL)
        for kind, name in (("input", n.INPUT_TOKENS), ("output", n.OUTPUT_TOKENS)):
            tokens = span.attributes.get(name, 0)
            if isinstance(tokens, int) and tokens:
                self._histogram(n.TOKEN_USAGE, "{token}", (*about, (n.TOKEN_TYPE, kind)), _TOKENS).record(tokens)
        self._histogram(n.OPERATION_DURATION, "s", (*about, *_labels(span, n.ERROR)), _SECONDS).record(_took_s(span))

    def _tool(self, span: Span) -> None:
        labels = _labels(span, n.TOOL_NAME, n.ERROR)
        self._histogram("callboard.tool.duration", "s", labels, _SECONDS).record(_took_s(span))

    def _run(self, span: Span) -> None:
        labels = _labels(span, n.TENANT, n.AGENT_NAME, n.STATUS)
        self._sum("callboard.runs", "{run}", labels).value += 1
        lasted_s = (span.end_ms - span.start_ms) / 1000
        self._histogram("callboard.run.duration", "s", labels, _LONG_SECONDS).record(lasted_s)

    def _cost(self, span: Span) -> None:
        cost = span.attributes.get(n.COST, 0)
        if isinstance(cost, int) and cost:
            labels = _labels(span, n.TENANT, n.REQUEST_MODEL, n.TOOL_NAME)
            self._sum("callboard.cost", "u{USD}", labels).value += cost

    def _sum(self, name: str, unit: str, labels: Labels) -> Sum:
        found = self._by_key.get((name, labels)) or self._new(Sum(name, unit, self._room(labels)))
        if not isinstance(found, Sum):
            raise TypeError(name)
        return found

    def _histogram(self, name: str, unit: str, labels: Labels, bounds: tuple[float, ...]) -> Histogram:
        found = self._by_key.get((name, labels))
        if found is None:
            found = self._new(Histogram(name, unit, self._room(labels), bounds, [0] * (len(bounds) + 1)))
        if not isinstance(found, Histogram):
            raise TypeError(name)
        return found

    def _room(self, labels: Labels) -> Labels:
        return labels if len(self.series) < _MOST else _REST

    def _new(self, one: Sum | Histogram) -> Sum | Histogram:
        known = self._by_key.get((one.name, one.attributes))
        if known is None:
            known = self._by_key[one.name, one.attributes] = one
            self.series.append(one)
        return known


def _labels(span: Span, *names: str) -> Labels:
    return tuple((name, str(span.attributes[name])) for name in names if name in span.attributes)


def _took_s(span: Span) -> float:
    """Return how long a call took, as whoever ran it says; of what nobody said, by the records."""
    return (span.duration_ms or max(0, span.end_ms - span.start_ms)) / 1000
