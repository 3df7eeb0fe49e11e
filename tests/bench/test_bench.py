"""Every work, end to end with tiny numbers, so that the benchmark cannot rot. What it measures is not judged here."""

import io
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tests.bench.bars import BARS, METRICS
from tests.bench.report import Row, print_table
from tests.bench.system import Profile
from tests.bench.works import WORKS, Where

pytestmark = pytest.mark.anyio


def _where(folder: Path, profile: Profile = "embedded") -> Where:
    few = Where(folder=folder, profile=profile, sync="100ms", groups=2, runs=3, children=3, few=2, many=4, scaled=2)
    return msgspec.structs.replace(few, woken_s=0)


async def test_a_step_of_the_system_and_of_the_chain_is_three_messages_and_one_of_the_floor(tmp_path: Path) -> None:
    row = await WORKS["w1"](_where(tmp_path))
    assert row.figures["messages_per_activity"] == pytest.approx(3, abs=0.1)
    assert row.references["chain"]["messages_per_activity"] == 3
    assert row.references["floor"]["messages_per_activity"] == 1
    assert 0 < row.references["floor"]["bytes_per_step"] < row.references["chain"]["bytes_per_step"]


async def test_a_killed_system_completes_every_run_and_the_audit_finds_nothing_lost_or_doubled(tmp_path: Path) -> None:
    row = await WORKS["w3"](_where(tmp_path))
    assert (row.figures["steps_lost"], row.figures["records_doubled"]) == (0, 0)
    assert row.figures["complete_s"] > row.figures["of_which_start_s"] > 0


@pytest.mark.parametrize(
    ("work", "profile"),
    [
        ("w2", "services"), ("w4", "embedded"), ("scale", "embedded"), ("memory", "embedded"), ("parked", "embedded"),
        ("history", "embedded"), ("recall", "embedded"),
    ],
)  # fmt: skip
async def test_each_other_work_measures_what_its_table_shows(tmp_path: Path, work: str, profile: Profile) -> None:
    row = await WORKS[work](_where(tmp_path, profile))
    assert {metric.key for metric in METRICS[work]} <= row.figures.keys()
    assert all(found > 0 for found in row.figures.values())
    _shows(row)


def test_a_bar_is_met_exactly_as_far_as_its_figure_reaches_it() -> None:
    row = Row(
        work="w1", profile="embedded", sync="always", groups=4,
        figures={"steps_per_s": 75.0, "p50_ms": 15.1}, references={"chain": {"steps_per_s": 100.0, "p50_ms": 10.0}},
    )  # fmt: skip
    assert [(told["key"], told["met"]) for told in row.as_json()["bars"]] == [("steps_per_s", True), ("p50_ms", False)]
    assert row.to("chain") == {"steps_per_s": 0.75, "p50_ms": 1.51}
    _shows(row)


def test_every_bar_is_of_a_figure_that_is_measured() -> None:
    assert {bar.key for bar in BARS} <= {metric.key for metrics in METRICS.values() for metric in metrics}


def _shows(row: Row) -> None:
    """The table and the JSON hold each figure, and whether its bars are met."""
    page = io.StringIO()
    print_table([row], "title", Console(file=page, width=150))
    assert all(metric.label in page.getvalue() for metric in METRICS[row.work] if metric.key in row.figures)
    assert page.getvalue().count("met") == len(row.bars())
    assert row.figures.keys() <= json.loads(json.dumps(row.as_json())).keys()
