"""What is sent to a collector: OTLP in both its forms, what spans add up to, and what OpenTelemetry's variables say."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # it ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from callboard.traces import Event, Link, Span, begun, environment, otlp, protobuf
from callboard.traces import names as n
from callboard.traces.environment import Sampler
from callboard.traces.metrics import Histogram, Metrics, Sum
from callboard.traces.span import Attributes
from callboard_contracts import ids
from callboard_contracts.errors import CallboardError
from callboard_services.ledger.traces.kept import Kept

TREE = "01KDVDNA00CDGPRV32DXGQ4S11"
RESOURCE = {"service.name": "callboard"}
WHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def span(operation: str = n.CHAT, **attributes: Any) -> Span:
    """Return a span of two seconds with something of everything."""
    found: Attributes = {n.OPERATION: operation, n.REQUEST_MODEL: "openai/x", n.INPUT_TOKENS: 300, n.OUTPUT_TOKENS: 20}
    found |= {n.COST: 120, "flag": True, "share": 0.5, "who": ("ada", "bob")}
    return Span(
        trace_id=ids.trace_id(TREE),
        span_id=ids.span_id("a"),
        parent_id=ids.span_id("b"),
        name="chat openai/x",
        kind="client",
        start_ms=1_767_225_600_123,
        end_ms=1_767_225_602_123,
        attributes=found | attributes,
        events=(Event("callboard.paused", 1_767_225_601_000, {"callboard.principal": "ada"}),),
        dropped_events=3,
        links=(Link("ab" * 16, "cd" * 8, {"callboard.again": "x"}),),
        error="tool_failed",
        duration_ms=1500,
    )


def in_base64(value: Any) -> Any:
    """Return OTLP's JSON as protobuf's own JSON has it, where ids are base64."""
    match value:
        case dict():
            names = ("traceId", "spanId", "parentSpanId")
            return {
                k: base64.b64encode(bytes.fromhex(v)).decode() if k in names else in_base64(v) for k, v in value.items()
            }
        case list():
            return [in_base64(one) for one in value]
        case _:
            return value


def test_both_forms_say_the_same_of_spans() -> None:
    told = [span(), msgspec.structs.replace(span(), parent_id="", end_ms=0, error="", events=(), links=())]
    sent = ExportTraceServiceRequest.FromString(protobuf.traces(RESOURCE, told))
    assert sent == ParseDict(in_base64(otlp.traces(RESOURCE, told)), ExportTraceServiceRequest())
    first, second = sent.resource_spans[0].scope_spans[0].spans
    assert (first.trace_id.hex(), first.span_id.hex()) == (ids.trace_id(TREE), ids.span_id("a"))
    assert first.end_time_unix_nano - first.start_time_unix_nano == 2_000_000_000
    assert (first.status.code, first.status.message, second.status.code) == (2, "tool_failed", 0)


def test_metrics_can_be_sent_in_protobuf() -> None:
    counted = Metrics(1000)
    counted.take([span(), span(n.INVOKE_AGENT, **{n.STATUS: "completed"})])
    counted.gauge("callboard.trees.open", "{tree}", 7)
    sent = ExportMetricsServiceRequest.FromString(protobuf.metrics(RESOURCE, counted, 9000))
    found = {one.name: one for one in sent.resource_metrics[0].scope_metrics[0].metrics}
    tokens = {{a.key: a.value.string_value for a in p.attributes}[n.TOKEN_TYPE]: p.sum
              for p in found[n.TOKEN_USAGE].histogram.data_points}  # fmt: skip
    assert tokens == {"input": 300, "output": 20}
    assert found["callboard.cost"].sum.data_points[0].as_int == 240
    assert found["callboard.trees.open"].gauge.data_points[0].as_int == 7
    assert found["callboard.runs"].sum.is_monotonic
    assert found["callboard.runs"].sum.data_points[0].start_time_unix_nano == 1_000_000_000


def test_a_duration_is_what_whoever_ran_the_call_says() -> None:
    counted = Metrics(0)
    counted.take([span(), msgspec.structs.replace(span(), duration_ms=0)])
    (found,) = [one for one in counted.series if one.name == n.OPERATION_DURATION]
    assert isinstance(found, Histogram)
    assert (found.count, found.total) == (2, 1.5 + 2.0)
    assert sum(found.buckets) == 2
    assert found.buckets[found.bounds.index(2.56)] == 2


def test_a_bound_belongs_to_what_lies_below_it() -> None:
    found = Histogram("x", "s", (), (1.0, 2.0), [0, 0, 0])
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        found.record(value)
    assert found.buckets == [2, 2, 1]


def test_series_without_end_are_counted_as_one_that_says_so() -> None:
    counted = Metrics(0)
    for number in range(3000):
        counted.take([span(n.EXECUTE_TOOL, **{n.TOOL_NAME: f"t{number}", n.COST: 1})])
    assert len(counted.series) < 2100
    rest = [one for one in counted.series if ("otel.metric.overflow", "true") in one.attributes]
    assert sum(one.value for one in rest if isinstance(one, Sum)) > 900
    assert sum(one.value for one in counted.series if isinstance(one, Sum)) == 3000


def test_without_an_endpoint_nothing_is_on() -> None:
    assert not environment.read({"OTEL_SERVICE_NAME": "x"}).on


def test_the_common_endpoint_gets_the_signals_path_and_a_signals_own_stays_as_it_is() -> None:
    found = environment.read(WHERE | {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://other/in?x=1"})
    assert found.traces is not None
    assert found.metrics is not None
    assert (found.traces.url, found.metrics.url) == ("http://collector:4318/v1/traces", "https://other/in?x=1")
    assert found.needs_protobuf


def test_what_is_said_of_one_signal_wins() -> None:
    said = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20abc, x = y",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=1=2",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip",
    }
    found = environment.read(WHERE | said)
    assert found.traces is not None
    assert found.metrics is not None
    assert (found.traces.headers, found.metrics.headers) == (
        {"api-key": "1=2"}, {"authorization": "Basic abc", "x": "y"},
    )  # fmt: skip
    assert (found.traces.gzip, found.metrics.gzip, found.traces.timeout_s) == (True, False, 2.5)
    assert not found.needs_protobuf


@pytest.mark.parametrize(
    ("said", "traces", "metrics"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, False, False),
        ({"OTEL_METRICS_EXPORTER": "none"}, True, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False, True),
    ],
)
def test_a_signal_can_be_turned_off(said: dict[str, str], traces: bool, metrics: bool) -> None:
    found = environment.read(WHERE | said)
    assert (found.traces is not None, found.metrics is not None) == (traces, metrics)


def test_the_service_has_a_name_and_whoever_runs_it_may_give_another() -> None:
    assert environment.read(WHERE).resource == {"service.name": "callboard"}
    said = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment.name=pro%20d"}
    assert environment.read(WHERE | said).resource["deployment.environment.name"] == "pro d"
    assert environment.read(WHERE | said).resource["service.name"] == "a"
    assert environment.read(WHERE | said | {"OTEL_SERVICE_NAME": "b"}).resource["service.name"] == "b"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "much"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_and_a_key_is_not_told(name: str, value: str) -> None:
    with pytest.raises(CallboardError) as caught:
        environment.read(WHERE | {"OTEL_TRACES_SAMPLER": "traceidratio"} | {name: value})
    assert caught.value.code == "invalid_request"
    assert name in caught.value.detail
    assert "hunter2" not in caught.value.detail


def test_what_the_sender_of_a_goal_keeps_is_kept_unless_told_otherwise() -> None:
    trace = ids.trace_id(TREE)
    assert [Sampler().keeps(trace, said) for said in (None, True, False)] == [True, True, False]
    off = environment.read(WHERE | {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}).sampler
    assert [off.keeps(trace, said) for said in (None, True, False)] == [False, True, False]
    on = environment.read(WHERE | {"OTEL_TRACES_SAMPLER": "always_on"}).sampler
    assert on.keeps(trace, False)


def test_a_share_of_traces_is_that_share_and_the_same_whoever_decides() -> None:
    said = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    sampler = environment.read(WHERE | said).sampler
    trees = [ids.ulid(1_767_225_600_000, number.to_bytes(2, "big") * 5) for number in range(0, 65_536, 64)]
    kept = [sampler.keeps(ids.trace_id(tree), None) for tree in trees]
    assert sum(kept) == len(trees) / 4


def test_what_is_kept_survives_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "traces" / "position.db"
    kept = Kept(path, 5)
    assert kept.begin("JOURNAL-0", "today", 40) == 40
    going, done = begun("acme", TREE), begun("acme", TREE[:-1] + "2")
    done.closed = True
    kept.commit("JOURNAL-0", "today", 50, [going, done], [span()])
    kept.close()
    again = Kept(path, 99)
    assert again.begin("JOURNAL-0", "today", 60) == 50
    assert (again.tree("acme", TREE), again.tree("acme", done.tree), again.open_trees()) == (going, None, 1)
    assert again.tree("other", TREE) is None
    assert (again.metrics().since_ms, len(again.metrics().series)) == (5, 4)
    again.close()


@pytest.mark.parametrize(("created", "last"), [("tomorrow", 60), ("today", 45)])
def test_a_journal_that_is_another_one_is_read_from_its_end(tmp_path: Path, created: str, last: int) -> None:
    kept = Kept(tmp_path / "position.db", 5)
    kept.begin("JOURNAL-0", "today", 40)
    kept.commit("JOURNAL-0", "today", 50, [begun("acme", TREE)], [])
    assert kept.begin("JOURNAL-0", created, last) == last
    assert kept.open_trees() == 0
    kept.close()


def test_a_damaged_file_makes_room_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "position.db"
    path.write_bytes(b"this is no database" * 500)
    kept = Kept(path, 5)
    assert kept.begin("JOURNAL-0", "today", 40) == 40
    kept.close()
