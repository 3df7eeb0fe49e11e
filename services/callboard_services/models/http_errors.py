"""What a provider's HTTP status means: one table from status to error. Pure.

An answer of 4xx did not run a model and is free. Of 5xx nobody knows: a proxy may have given up on a model that ran.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from callboard_services.models.errors import ProviderError

_OVERFLOW = (
    "context_length",
    "context length",
    "context window",
    "context size",
    "too many tokens",
    "prompt is too long",
)
_SPENT = ("insufficient_quota", "billing")


def from_status(status: int, headers: Mapping[str, str], text: str) -> ProviderError:
    """Return the error of an answer that is not 200."""
    said = f"HTTP {status}: {' '.join(text.split())}" if text.strip() else f"HTTP {status}"
    lower = text.lower()
    match status:
        case 401 | 403:
            # What it says may hold part of the key.
            return ProviderError("provider_auth", f"HTTP {status}: the key was not accepted", free=True)
        case 413:
            return ProviderError("context_overflow", said, free=True)
        case 429:
            again = not any(word in lower for word in _SPENT)
            return ProviderError("rate_limited", said, retryable=again, free=True, retry_after_s=retry_after(headers))
        case 404 if "model" in lower:
            return ProviderError("unknown_model", said, free=True)
        case 408 | 504:
            return ProviderError("provider_timeout", said)
        case _ if 400 <= status < 500 and any(word in lower for word in _OVERFLOW):
            return ProviderError("context_overflow", said, free=True)
        case _ if status >= 500:
            return ProviderError("provider_error", said)
        case _:
            return ProviderError("provider_error", said, retryable=False, free=True)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return how many seconds the provider asked to wait: as milliseconds, seconds or a date (RFC 9110); 0: no word."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    seconds = _number(headers.get("retry-after"))
    return _until(headers) if seconds is None else seconds


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else min(max(0.0, float(text)), 86_400.0)
    except ValueError:
        return None


def _until(headers: Mapping[str, str]) -> float:
    """Return the seconds between the provider's own clock and the date it named."""
    try:
        wait = parsedate_to_datetime(headers.get("retry-after", "")) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, wait.total_seconds())
