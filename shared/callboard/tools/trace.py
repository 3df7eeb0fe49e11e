"""Spans of calls, by OpenTelemetry's GenAI conventions: the one place that knows their names."""

import contextlib
from collections.abc import Iterator

from callboard_contracts import wire


@contextlib.contextmanager
def tool_span(tool: str, call: str, traceparent: str) -> Iterator[None]:
    """Continue a trace while a tool runs. Without a trace, or without an SDK, it costs nothing and does nothing."""
    if not traceparent:
        yield
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract({wire.TRACE: traceparent})
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, "gen_ai.tool.call.id": call}
    tracer = trace.get_tracer("callboard.tools")
    with tracer.start_as_current_span(f"execute_tool {tool}", parent, trace.SpanKind.INTERNAL, attributes):
        yield
