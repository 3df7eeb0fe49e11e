"""A collector: a real HTTP server that decodes what it is sent by OTLP."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.gateway.hook import Hook, Received, hook
from tests.ledger.archive import eventually


class Collector:
    """What came to one URL."""

    def __init__(self, hook_: Hook, refused: int = 0) -> None:
        self.hook = hook_
        self.refused = refused
        """So many of the first requests were not taken: what was in them does not count."""
        self.traces = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": hook_.url}
        self.metrics = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": hook_.url}

    @property
    def spans(self) -> list[Span]:
        """Every span that was taken, as often as it was."""
        return [span for one in self.hook.received[self.refused :] for span in spans_of(one)]

    @property
    def by_id(self) -> dict[str, Span]:
        """Every span once. What came twice is the same twice: a backend that knows ids keeps one."""
        found: dict[str, Span] = {}
        for span in self.spans:
            before = found.setdefault(span.span_id.hex(), span)
            assert before == span
        return found

    @property
    def newest_metrics(self) -> dict[str, Metric]:
        """What the last word on metrics said."""
        body = ExportMetricsServiceRequest.FromString(self.hook.received[-1].body)
        return {one.name: one for one in body.resource_metrics[0].scope_metrics[0].metrics}

    async def had(self, span_ids: Iterable[str], within_s: float = 20) -> None:
        """Wait until spans with these ids came."""
        wanted = set(span_ids)

        async def there() -> bool:
            return wanted <= {span.span_id.hex() for span in self.spans}

        await eventually(there, within_s=within_s)


def spans_of(received: Received) -> list[Span]:
    """Return the spans of a request."""
    body = ExportTraceServiceRequest.FromString(received.body)
    return [span for one in body.resource_spans for scope in one.scope_spans for span in scope.spans]


def attributes(span: Span) -> dict[str, object]:
    """Return what a span says."""
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


@asynccontextmanager
async def collecting(*answers: int) -> AsyncIterator[Collector]:
    """Run a collector until the block ends; it answers 200 unless told otherwise."""
    async with hook(*(answers or (200,))) as hook_:
        yield Collector(hook_, sum(answer != 200 for answer in answers))
