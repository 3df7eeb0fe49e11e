"""The trace of a call while its tool runs. The call's own span is made of records by the ledger, and by nobody else."""

import contextlib
import sys
from collections.abc import Iterator

from callboard_contracts import ids, wire
from callboard_contracts.guard import Granted

_API = "opentelemetry.trace"


def traceparent(granted: Granted) -> str:
    """Return the W3C trace context of a call: whatever goes on with it happens within the call's span."""
    call = granted.call.id
    came = granted.traceparent.split("-")
    trace, flags = (came[1], came[3]) if len(came) > 3 else (ids.trace_id(ids.tree_of(call)), "01")
    return f"00-{trace}-{ids.span_id(call)}-{flags[:2]}"


@contextlib.contextmanager
def within(parent: Granted | str) -> Iterator[None]:
    """Let spans that are made meanwhile be children of a call's, or of a trace context's.

    It costs nothing where nobody makes spans.
    """
    if _API not in sys.modules:
        yield
        return
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    said = parent if isinstance(parent, str) else traceparent(parent)
    token = context.attach(TraceContextTextMapPropagator().extract({wire.TRACE: said}))
    try:
        yield
    finally:
        context.detach(token)
