"""What a span says of a run, a call or a request to people. Contents, such as prompts and outputs, are not in it."""

import msgspec

from callboard.traces import names as n
from callboard.traces.span import Attributes, Link, Span, Value
from callboard.traces.tree import OpenCall, OpenRequest, OpenRun, Tree, late_span, request_span, run_span
from callboard_contracts import approval, ids, names, run
from callboard_contracts.units import MicroUsd

_LOST = "outcome_unknown"
_SAFE = ("code", "principal", "vote", "call", "tool", "to", "nth", "until_ms")
"""What may be told of an event: who and which, never what was said."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended."""

    end_ms: int
    status: str = ""
    error: str = ""
    model: str = ""
    """The model that answered."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: MicroUsd = 0
    """`run.IN_FULL`: nobody knows, and what was reserved is charged."""
    unpriced: bool = False
    estimated: bool = False
    duration_ms: int = 0
    result: int = 0
    late: bool = False

    @classmethod
    def of(cls, taken: run.Taken, time_ms: int) -> "Outcome":
        """Return what a run says of a result that it took."""
        wrong = "" if taken.status == "completed" else taken.code or (_LOST if taken.status == "lost" else taken.status)
        return cls(
            end_ms=time_ms,
            status=taken.status,
            error=wrong,
            model=taken.model,
            input_tokens=taken.input_tokens,
            output_tokens=taken.output_tokens,
            cost=run.settlement(taken)[1],
            unpriced=taken.unpriced,
            estimated=taken.estimated,
            duration_ms=taken.duration_ms,
            result=taken.seq,
            late=taken.late,
        )


_GOES_ON = Outcome(end_ms=0)


def of_call(tree: Tree, call: str, opened: OpenCall, ended: Outcome = _GOES_ON) -> Span:
    """Return the span of a call: from its grant, or, where it got none, from when it was asked for."""
    chat = opened.tool == names.MODEL
    return Span(
        trace_id=tree.trace_id,
        span_id=ids.span_id(call),
        parent_id=run_span(ids.run_of(call)),
        name=f"{n.CHAT} {opened.model}" if chat else f"{n.EXECUTE_TOOL} {opened.tool}",
        kind="client" if chat else "internal",
        start_ms=opened.granted_ms or opened.asked_ms,
        end_ms=ended.end_ms,
        attributes=_said(
            (_chat(opened, ended) if chat else _tool(call, opened)) | _about_call(tree, call, opened) | _came(ended)
        ),
        links=(Link(tree.trace_id, ids.span_id(opened.again), {"callboard.again": opened.again}),)
        if opened.again
        else (),
        error=ended.error,
        sampled=tree.sampled,
        source=opened.source,
        result=ended.result,
        duration_ms=ended.duration_ms,
    )


def _chat(opened: OpenCall, ended: Outcome) -> Attributes:
    found: Attributes = {
        n.OPERATION: n.CHAT,
        n.PROVIDER: n.provider(opened.model),
        n.REQUEST_MODEL: opened.model,
        n.MAX_TOKENS: opened.max_tokens,
        "callboard.summarises": opened.summarises,
    }
    return found | _used(ended) if ended.status else found


def _tool(call: str, opened: OpenCall) -> Attributes:
    return {n.OPERATION: n.EXECUTE_TOOL, n.TOOL_NAME: opened.tool, n.TOOL_CALL: call, n.TOOL_TYPE: "function"}


def _used(ended: Outcome) -> Attributes:
    return {
        n.RESPONSE_MODEL: ended.model,
        n.INPUT_TOKENS: ended.input_tokens,
        n.OUTPUT_TOKENS: ended.output_tokens,
    }


def _about_call(tree: Tree, call: str, opened: OpenCall) -> Attributes:
    return {
        n.TENANT: tree.tenant,
        n.TREE: tree.tree,
        n.RUN: ids.run_of(call),
        n.CALL: call,
        n.TURN: opened.turn,
        "callboard.reserved_micro_usd": opened.reserved,
        "callboard.approved_by": opened.approved_by,
        "callboard.edited": opened.edited,
        "callboard.unpriced": opened.unpriced,
    }


def _came(ended: Outcome) -> Attributes:
    """Return what a result says of itself. Tokens and money of what never answered are not known."""
    if not ended.status:
        return {n.ERROR: ended.error}
    found: Attributes = {
        n.STATUS: ended.status,
        n.ERROR: ended.error,
        "callboard.duration_ms": ended.duration_ms,
        "callboard.estimated": ended.estimated,
        "callboard.late": ended.late,
    }
    found |= {n.COST: ended.cost} if ended.cost != run.IN_FULL else {"callboard.charged_in_full": True}
    return found | {"callboard.unpriced": True} if ended.unpriced else found


def late(tree: Tree, taken: run.Taken, time_ms: int) -> Span:
    """Return the span of a result that came after its call had been given up, within that call's span."""
    about: Attributes = {n.TENANT: tree.tenant, n.TREE: tree.tree, n.RUN: ids.run_of(taken.call), n.CALL: taken.call}
    ended = Outcome.of(taken, time_ms)
    return Span(
        trace_id=tree.trace_id,
        span_id=late_span(taken.call),
        parent_id=ids.span_id(taken.call),
        name=f"late {taken.tool}",
        start_ms=time_ms,
        end_ms=time_ms,
        attributes=_said(about | (_used(ended) if taken.tool == names.MODEL else {}) | _came(ended)),
        error=ended.error,
        sampled=tree.sampled,
        result=taken.seq,
    )


def of_run(
    tree: Tree, name: str, opened: OpenRun, ended: run.Ended | None = None, seq: int = 0, time_ms: int = 0
) -> Span:
    """Return the span of a run, with what happened in it."""
    labels: Attributes = {f"callboard.label.{label}": value for label, value in opened.labels.items()}
    return Span(
        trace_id=tree.trace_id,
        span_id=run_span(name),
        parent_id=_parent(tree, name),
        name=f"{n.INVOKE_AGENT} {opened.skill}".rstrip(),
        start_ms=opened.started_ms,
        end_ms=time_ms,
        attributes=_said(_agent(tree, name, opened.skill, opened.digest) | _how(opened, ended) | labels),
        events=tuple(opened.events),
        dropped_events=opened.dropped,
        links=opened.links,
        error=_code(ended) if ended is not None else "",
        sampled=tree.sampled,
        source=opened.source,
        result=seq,
    )


def _parent(tree: Tree, name: str) -> str:
    return tree.parent_id if name == tree.tree else ids.span_id(name)


def _agent(tree: Tree, name: str, skill: str, digest: str) -> Attributes:
    return {
        n.OPERATION: n.INVOKE_AGENT,
        n.AGENT_NAME: skill,
        n.AGENT_ID: skill,
        n.AGENT_VERSION: digest[:16],
        n.TENANT: tree.tenant,
        n.TREE: tree.tree,
        n.RUN: name,
    }


def _how(opened: OpenRun, ended: run.Ended | None) -> Attributes:
    found: Attributes = {
        n.PROVIDER: n.provider(opened.model),
        n.REQUEST_MODEL: opened.model,
        "callboard.principal": opened.principal,
    }
    if ended is None:
        return found
    return found | {
        n.STATUS: ended.status,
        n.ERROR: _code(ended),
        n.RUN_COST: ended.cost_micro_usd,
        "callboard.turns": ended.turns,
        "callboard.calls": ended.calls,
    }


def _code(ended: run.Ended) -> str:
    return "" if ended.status == "completed" else ended.code or ended.status


def never_begun(tree: Tree, name: str, time_ms: int, event: run.Refused) -> Span:
    """Return the span of a run that could not be started."""
    skill = "" if event.skill == names.ADHOC else event.skill
    return Span(
        trace_id=tree.trace_id,
        span_id=run_span(name),
        parent_id=_parent(tree, name),
        name=f"{n.INVOKE_AGENT} {skill}".rstrip(),
        start_ms=time_ms,
        end_ms=time_ms,
        attributes=_said(_agent(tree, name, skill, "") | {n.STATUS: "refused", n.ERROR: event.code}),
        error=event.code,
        sampled=tree.sampled,
    )


def of_request(
    tree: Tree, call: str, opened: OpenRequest, decided: approval.Decided | None = None, time_ms: int = 0
) -> Span:
    """Return the span of a wait for people, within its run: the call's own span begins when it is granted."""
    outcome = decided.outcome if decided is not None else ""
    return Span(
        trace_id=tree.trace_id,
        span_id=request_span(call),
        parent_id=run_span(ids.run_of(call)),
        name=f"approval {opened.tool}",
        start_ms=opened.asked_ms,
        end_ms=time_ms,
        attributes=_said(
            {
                n.TENANT: tree.tenant,
                n.TREE: tree.tree,
                n.RUN: ids.run_of(call),
                n.CALL: call,
                n.TOOL_NAME: opened.tool,
                "callboard.rule": opened.rule,
                "callboard.outcome": outcome,
                "callboard.decided_by": decided.by if decided is not None else (),
                "callboard.edited": decided is not None and decided.edited,
            }
        ),
        events=tuple(opened.events),
        error=outcome if outcome in ("denied", "expired", "withdrawn") else "",
        sampled=tree.sampled,
        source=opened.source,
    )


def told(event: object) -> Attributes:
    """Return what may be told of an event: who and which, never what was said."""
    found = {f"callboard.{name}": getattr(event, name) for name in _SAFE if hasattr(event, name)}
    return _said({name: ",".join(value) if isinstance(value, tuple) else value for name, value in found.items()})


def _said(attributes: Attributes) -> Attributes:
    """Return the attributes that say something; a cost or a count of 0 does."""
    return {name: value for name, value in attributes.items() if _says(value)}


def _says(value: Value) -> bool:
    return value is not False and value not in ("", ())
