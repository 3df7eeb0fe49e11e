"""Spans of calls, by OpenTelemetry's GenAI conventions: the one place that knows their names."""

import contextlib
import sys
from collections.abc import Iterator

from callboard_contracts import ids, wire
from callboard_contracts.guard import Granted

_SDK = "opentelemetry.sdk.trace"


@contextlib.contextmanager
def tool_span(tool: str, granted: Granted) -> Iterator[None]:
    """Continue the trace of a goal while a tool runs. Where no SDK is loaded it costs nothing and does nothing."""
    if _SDK not in sys.modules and not granted.traceparent:
        yield
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    call = granted.call.id
    parent = TraceContextTextMapPropagator().extract({wire.TRACE: granted.traceparent or _own(call)})
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, "gen_ai.tool.call.id": call}
    tracer = trace.get_tracer("callboard.tools")
    with tracer.start_as_current_span(f"execute_tool {tool}", parent, trace.SpanKind.INTERNAL, attributes):
        yield


def _own(call: str) -> str:
    """Return the context of a goal that came without one: it follows from the ids."""
    return f"00-{ids.trace_id(ids.tree_of(call))}-{ids.span_id(call)}-01"
