"""Times as people and models write them: `7d` is a while ago, `2026-11-03` a day, the rest ISO 8601. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from callboard_contracts.errors import CallboardError

_AGO = re.compile(r"([0-9]{1,5})\s*(m|h|d|w|mo|y)")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400, "y": 365 * 86_400}


def period(since: str, until: str, now_ms: int) -> tuple[int, int]:
    """Return the first millisecond (since 1970) of a period, and the one before which it ends; 0 where there is none.

    A day counts as a whole, and what names no zone is UTC. Whether it ends before it begins is for the caller to see.

    :raises CallboardError: `invalid_request`, naming the one that is no time.
    """
    return _moment("since", since.strip(), now_ms), _moment("until", until.strip(), now_ms, timedelta(days=1))


def _moment(name: str, text: str, now_ms: int, day: timedelta = timedelta()) -> int:
    if not text:
        return 0
    if ago := _AGO.fullmatch(text.lower()):
        return max(1, now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1000)
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        found += day if _DAY.fullmatch(text) else timedelta()
        return max(1, (found - _EPOCH) // timedelta(milliseconds=1))
    except (ValueError, OverflowError):
        hint = "use 7d, 24h, 2w, a day such as 2026-11-03, or ISO 8601"
        raise CallboardError("invalid_request", f"{name} {text[:40]!r} is no time: {hint}") from None
