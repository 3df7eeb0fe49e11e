"""Real histories as spans, and the names of OpenTelemetry's GenAI conventions as they are published."""

from collections import Counter

import msgspec
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as conventions
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes

from callboard.traces import At, Span, Tree, begun, fold, pending
from callboard.traces import names as n
from callboard.traces.tree import late_span, request_span, run_span
from callboard_contracts import approval, ids, run
from tests.replay.history import History, every

HISTORIES = {repr(history): history for history in every()}


def spans_of(history: History) -> tuple[Tree, list[Span]]:
    """Fold a history's records."""
    tree, found = None, []
    for line, where in history.placed("log"):
        tree = tree or begun(where.address.tenant, where.address.tree)
        found += fold(tree, At(where.address.run, line.seq, line.time_ms), line.record)
    assert tree is not None
    return tree, found


@pytest.mark.parametrize("name", HISTORIES)
def test_every_run_and_call_of_a_history_becomes_one_span_with_the_right_parent(name: str) -> None:
    history = HISTORIES[name]
    tree, spans = spans_of(history)
    events = [(where.address.run, event) for line, where in history.placed("log") for event in line.record.events]
    calls = {call.id: of for of, event in events if isinstance(event, run.Called) for call in event.calls}
    runs = {of for of, event in events if isinstance(event, run.Accepted | run.Refused)}
    wanted = {ids.span_id(call): run_span(of) for call, of in calls.items()}
    wanted |= {run_span(of): "" if of == tree.tree else ids.span_id(of) for of in runs}
    asked = {event.request.id for _, event in events if isinstance(event, approval.Requested)}
    wanted |= {request_span(call): run_span(ids.run_of(call)) for call in asked}
    late = {late_span(call): ids.span_id(call) for call in calls}
    found = {span.span_id: span.parent_id for span in spans}
    assert found == wanted | {id_: parent for id_, parent in late.items() if id_ in found}
    assert max(Counter(span.span_id for span in spans).values()) == 1
    assert {span.trace_id for span in spans} == {ids.trace_id(tree.tree)}
    assert all(span.end_ms >= span.start_ms > 0 for span in spans)
    assert tree.done
    assert not pending(tree)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_tree_that_is_stored_after_each_record_gives_the_same_spans(name: str) -> None:
    tree, found = None, []
    for line, where in HISTORIES[name].placed("log"):
        tree = tree or begun(where.address.tenant, where.address.tree)
        tree = msgspec.json.decode(msgspec.json.encode(tree), type=Tree)
        found += fold(tree, At(where.address.run, line.seq, line.time_ms), line.record)
    assert found == spans_of(HISTORIES[name])[1]


@pytest.mark.parametrize("name", HISTORIES)
def test_calls_cost_in_spans_what_their_runs_say(name: str) -> None:
    _, spans = spans_of(HISTORIES[name])
    for span in (one for one in spans if n.RUN_COST in one.attributes):
        own = [one for one in spans if one.parent_id == span.span_id and n.COST in one.attributes]
        assert sum(int(str(one.attributes[n.COST])) for one in own) == span.attributes[n.RUN_COST]


def test_names_are_those_of_the_conventions() -> None:
    theirs = {value for key, value in vars(conventions).items() if key.startswith("GEN_AI_")}
    theirs |= {gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE, gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION}
    theirs |= {error_attributes.ERROR_TYPE}
    ours = {value for key, value in vars(n).items() if key.isupper() and isinstance(value, str)}
    assert {name for name in ours if name.startswith("gen_ai.")} <= theirs
    assert n.ERROR in theirs
    operations = {one.value for one in conventions.GenAiOperationNameValues}
    assert {n.INVOKE_AGENT, n.CHAT, n.EXECUTE_TOOL} <= operations


def test_providers_are_those_of_the_conventions() -> None:
    known = {one.value for one in conventions.GenAiProviderNameValues}
    assert {n.provider(f"{prefix}/some-model") for prefix in n.PROVIDERS} <= known
    assert n.provider("gemini/gemini-flash-lite-latest") == "gcp.gemini"
    assert n.provider("litellm/bedrock/claude") == "aws.bedrock"
    assert n.provider("ollama/qwen") == "ollama"
    assert n.provider("scripted:/tmp/x.json") == "scripted"
    assert n.provider("mystery") == n.OTHER_PROVIDER
