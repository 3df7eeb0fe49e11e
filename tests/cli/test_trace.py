"""`runs show --trace`: the picture of a run's spans, and the spans as OTLP has them."""

import json
from pathlib import Path

import pytest
from tests.cli.test_end_to_end import ANY, SCRIPT, callboard, last_json
from tests.unit.test_trace_histories import HISTORIES, spans_of

from callboard.cli import trace
from callboard.cli.main import call
from callboard.traces import Event, Span, environment
from callboard.traces import names as n


def picture(capsys: pytest.CaptureFixture[str], spans: list[Span]) -> list[str]:
    """Return the lines of a picture."""
    trace.show(spans[0].trace_id, spans)
    return capsys.readouterr().out.splitlines()


def test_every_span_has_a_line_below_the_one_it_happened_within(capsys: pytest.CaptureFixture[str]) -> None:
    _, spans = spans_of(HISTORIES["2026-11-21-agents"])
    lines = picture(capsys, sorted(spans, key=lambda span: span.start_ms))
    names = [line[: line.index("ms")].rstrip(" 0123456789") for line in lines if "ms" in line][1:]
    assert len(names) == len(spans)
    assert names[0] == "invoke_agent"
    assert names.count("        invoke_agent") == 1  # a sub-agent, below a call, below a sub-agent, below a call
    assert [line for line in lines if "gave_up" in line]
    assert lines[0].startswith(f"trace {spans[0].trace_id}")


def test_bars_stand_where_and_as_long_as_spans_lasted(capsys: pytest.CaptureFixture[str]) -> None:
    def one(name: str, start_ms: int, end_ms: int, **more: object) -> Span:
        return Span(
            trace_id="ab" * 16, span_id=name, name=name, start_ms=start_ms, end_ms=end_ms, attributes={},
            **more,  # type: ignore[arg-type]
        )  # fmt: skip

    day = 86_400_000
    paused = Event("callboard.paused", 1000 + day // 2)
    first, second = one("first", 1000, 1000 + day, events=(paused,)), one("second", 1000 + day // 2, 1000 + day)
    lines = picture(capsys, [first, second])
    whole, note, half = (line for line in lines if line.startswith(("first", "second", "  · paused")))
    assert "24 h 0 min" in whole
    assert whole.count("█") in range(2 * half.count("█") - 2, 2 * half.count("█") + 3)
    assert half.index("█") == note.index("◆")


def test_a_run_without_records_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    trace.show("01KDVDNA00CDGPRV32DXGQ4S11", [])
    assert "recorded" in capsys.readouterr().out


WHERE = "OTEL_EXPORTER_OTLP_ENDPOINT"
DOCTOR = [
    ({}, True, "note", "sent nowhere"),
    ({WHERE: "http://collector:4318"}, True, "ok", "http://collector:4318/v1/traces"),
    ({WHERE: "http://collector:4318"}, False, "missing", "not installed"),
    ({WHERE: "http://collector:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, False, "ok", "collector"),
    ({WHERE: "collector"}, True, "missing", WHERE),
]


@pytest.mark.parametrize(("variables", "installed", "health", "found"), DOCTOR)
def test_the_doctor_tells_where_traces_go_and_what_is_missing_for_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    variables: dict[str, str],
    installed: bool,
    health: str,
    found: str,
) -> None:
    monkeypatch.delenv(WHERE, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(environment, "installed", lambda: installed)
    call(["doctor", "--json", "--data", str(tmp_path)])
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (traces,) = [one for one in findings if one["what"] == "traces"]
    assert traces["health"] == health
    assert found in traces["found"]


@pytest.mark.slow
def test_a_bare_run_has_a_trace_without_any_setting(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    data = str(tmp_path / "data")
    told = callboard("run", "Calculate.", "--contract", ANY, "--data", data, "--model", f"scripted:{script}", "--json")
    run = last_json(told)["run"]
    shown = callboard("runs", "show", run, "--trace", "--data", data).stdout
    assert "invoke_agent" in shown
    assert "█" in shown
    spans = last_json(callboard("runs", "show", run, "--trace", "--json", "--data", data))
    found = spans["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert found[0]["name"] == "invoke_agent"
    assert {"key": n.OPERATION, "value": {"stringValue": "chat"}} in found[1]["attributes"]
    assert last_json(callboard("traces", "export", "--since", "1d", "--data", data)) == spans
