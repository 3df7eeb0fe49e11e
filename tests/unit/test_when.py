"""Times as people and models write them."""

from datetime import UTC, datetime

import pytest

from callboard.when import period
from callboard_contracts.errors import CallboardError

NOW = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)


def at(ms: int) -> str:
    """Return a time as text."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7d", "2026-11-13T12:00:00.000"),
        ("90m", "2026-11-20T10:30:00.000"),
        ("24h", "2026-11-19T12:00:00.000"),
        (" 2W ", "2026-11-06T12:00:00.000"),
        ("2026-11-03", "2026-11-03T00:00:00.000"),
        ("2026-11-03T10:00", "2026-11-03T10:00:00.000"),
        ("2026-11-03T10:00:00+02:00", "2026-11-03T08:00:00.000"),
        ("2026-11-03T10:00:00Z", "2026-11-03T10:00:00.000"),
    ],
)
def test_a_period_begins_where_it_says(text: str, meant: str) -> None:
    begin, end = period(text, "", NOW)
    assert (at(begin), end) == (meant, 0)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-03", "2026-11-04T00:00:00.000"),
        ("2026-11-03T10:00", "2026-11-03T10:00:00.000"),
        ("1d", "2026-11-19T12:00:00.000"),
    ],
)
def test_a_day_ends_where_the_next_begins_and_a_time_of_day_where_it_says(text: str, meant: str) -> None:
    begin, end = period("", text, NOW)
    assert (begin, at(end)) == (0, meant)


def test_no_time_is_no_bound() -> None:
    assert period("", " ", NOW) == (0, 0)


@pytest.mark.parametrize(
    "text", ["yesterday", "7", "d", "-3d", "7d; DROP", "2026-13-01", "99999999d", "٣d", "9999-12-31T99", "' OR 1=1"]
)
def test_what_is_no_time_is_refused_by_name_with_what_would_be_one(text: str) -> None:
    for given, name in (((text, ""), "since"), (("", text), "until")):
        with pytest.raises(CallboardError, match=f"{name} .* is no time: use 7d") as caught:
            period(*given, NOW)
        assert caught.value.code == "invalid_request"


def test_a_time_beyond_the_calendar_is_refused_or_bounded_and_never_a_crash() -> None:
    assert period("99999y", "", NOW) == (1, 0)
    with pytest.raises(CallboardError):
        period("", "9999-12-31", NOW)
    assert period("0001-01-01", "", NOW) == (1, 0)
