"""Spans and metrics in OTLP's JSON form.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids are hexadecimal, numbers of 64 bits are texts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from callboard.traces.metrics import Histogram, Metrics, Sum
from callboard.traces.span import Attributes, Event, Link, Span, Value

Json = dict[str, Any]

SCHEMA: Final = "https://opentelemetry.io/schemas/1.42.0"
SCOPE: Final = {"name": "callboard"}
KINDS: Final = {"internal": 1, "client": 3}
OK, ERROR = 1, 2
FLAGS: Final = 0x101
"""W3C's flag *sampled*, and that it is known whether the parent is remote: it is not."""
_CUMULATIVE: Final = 2


def traces(resource: Mapping[str, str], spans: Iterable[Span]) -> Json:
    """Return the body of an export of spans."""
    scope = {"scope": SCOPE, "spans": [span_(span) for span in spans], "schemaUrl": SCHEMA}
    return {"resourceSpans": [{"resource": _resource(resource), "scopeSpans": [scope]}]}


def span_(span: Span) -> Json:
    """Return one span; one that goes on has no end."""
    found: Json = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "flags": FLAGS,
        "name": span.name,
        "kind": KINDS[span.kind],
        "startTimeUnixNano": _ns(span.start_ms),
        "attributes": _attributes(span.attributes),
        "status": {"code": ERROR, "message": span.error} if span.error else {"code": OK} if span.end_ms else {},
    }
    found |= {"parentSpanId": span.parent_id} if span.parent_id else {}
    found |= {"endTimeUnixNano": _ns(span.end_ms)} if span.end_ms else {}
    found |= {"events": [_event(event) for event in span.events]} if span.events else {}
    found |= {"droppedEventsCount": span.dropped_events} if span.dropped_events else {}
    found |= {"links": [_link(link) for link in span.links]} if span.links else {}
    return found


def metrics(resource: Mapping[str, str], found: Metrics, now_ms: int) -> Json:
    """Return the body of an export of metrics: what was counted from the beginning on."""
    told = [_metric(name, points, found.since_ms, now_ms) for name, points in found.by_name()]
    scope = {"scope": SCOPE, "metrics": told, "schemaUrl": SCHEMA}
    return {"resourceMetrics": [{"resource": _resource(resource), "scopeMetrics": [scope]}]}


def _metric(name: str, points: list[Sum | Histogram], since_ms: int, now_ms: int) -> Json:
    times = {"startTimeUnixNano": _ns(since_ms), "timeUnixNano": _ns(now_ms)}
    data = [_point(point) | {"attributes": _attributes(dict(point.attributes))} | times for point in points]
    unit = {"name": name, "unit": points[0].unit}
    first = points[0]
    if isinstance(first, Histogram):
        return unit | {"histogram": {"dataPoints": data, "aggregationTemporality": _CUMULATIVE}}
    if first.gauge:
        return unit | {"gauge": {"dataPoints": data}}
    return unit | {"sum": {"dataPoints": data, "aggregationTemporality": _CUMULATIVE, "isMonotonic": True}}


def _point(point: Sum | Histogram) -> Json:
    if isinstance(point, Sum):
        return {"asInt": str(point.value)}
    return {
        "count": str(point.count),
        "sum": point.total,
        "bucketCounts": [str(count) for count in point.buckets],
        "explicitBounds": list(point.bounds),
    }


def encoded(body: Json) -> bytes:
    """Return a body as it is sent."""
    return msgspec.json.encode(body)


def _resource(attributes: Mapping[str, str]) -> Json:
    return {"attributes": _attributes(dict(attributes))}


def _event(event: Event) -> Json:
    return {
        "name": event.name,
        "timeUnixNano": _ns(event.time_ms),
        "attributes": _attributes(event.attributes),
    }


def _link(link: Link) -> Json:
    return {"traceId": link.trace_id, "spanId": link.span_id, "attributes": _attributes(link.attributes)}


def _attributes(attributes: Attributes | dict[str, str]) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Value) -> Json:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [_value(one) for one in value]}}


def _ns(time_ms: int) -> str:
    return str(time_ms * 1_000_000)
