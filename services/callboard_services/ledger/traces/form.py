"""The two forms of OTLP over HTTP: protobuf, which every collector takes, and JSON, which needs nothing installed."""

from collections.abc import Mapping, Sequence

from callboard.traces import Span, otlp
from callboard.traces.environment import Protocol
from callboard.traces.metrics import Metrics


class Form:
    """How bodies are written. :param resource: what is said of whoever sends them."""

    def __init__(self, protocol: Protocol, resource: Mapping[str, str]) -> None:
        self._json = protocol == "http/json"
        self._resource = resource

    def traces(self, spans: Sequence[Span]) -> bytes:
        """Return the body of an export of spans."""
        if self._json:
            return otlp.encoded(otlp.traces(self._resource, spans))
        from callboard.traces import protobuf

        return protobuf.traces(self._resource, spans)

    def metrics(self, found: Metrics, now_ms: int) -> bytes:
        """Return the body of an export of metrics."""
        if self._json:
            return otlp.encoded(otlp.metrics(self._resource, found, now_ms))
        from callboard.traces import protobuf

        return protobuf.metrics(self._resource, found, now_ms)
