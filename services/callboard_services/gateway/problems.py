"""Errors as problem+json (RFC 9457): a code of the catalogue, what was wrong, what to do next. Never a stack trace."""

from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from callboard.bus import BusError
from callboard_contracts import wire
from callboard_contracts.errors import CATALOGUE, CallboardError

log = structlog.get_logger()

_RETRY_AFTER_S = "2"
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "goal_too_large"}


class Problem(CallboardError):  # noqa: N818 - RFC 9457's word
    """An error with more fields for its body, such as the run that it is about."""

    def __init__(self, code: str, detail: str, **more: object) -> None:
        super().__init__(code, detail)
        self.more = more


def problem(
    code: str, detail: str, *, headers: dict[str, str] | None = None, more: dict[str, object] | None = None
) -> Response:
    """Return the response for an error. `more` are further members of its body."""
    entry = CATALOGUE[code]
    status = entry.status if entry.status >= 400 else 500
    body: dict[str, Any] = {
        "type": f"urn:callboard:error:{code}",
        "title": entry.title,
        "status": status,
        "detail": detail,
        "code": code,
        "advice": entry.advice,
        **(more or {}),
    }
    extra = {"Retry-After": _RETRY_AFTER_S} if status == 503 else {}
    return Response(wire.encode(body), status, extra | (headers or {}), "application/problem+json")


async def on_known(_: Request, error: CallboardError) -> Response:
    """Answer an error of the catalogue."""
    more = error.more if isinstance(error, Problem) else {}
    return problem(error.code, error.detail, more=more)


async def on_bus(request: Request, error: Exception) -> Response:
    """Answer when the broker did not do what was asked."""
    log.warning("not available", path=request.url.path, reason=str(error))
    return problem("unavailable", "The broker did not answer as it should; nothing is lost by asking again.")


async def on_http(request: Request, error: HTTPException) -> Response:
    """Answer for an unknown route or method."""
    code = _BY_STATUS.get(error.status_code, "invalid_request")
    return problem(code, f"{request.method} {request.url.path}", headers=dict(error.headers or {}))


async def on_bug(request: Request, error: Exception) -> Response:
    """Answer when it is our fault, and tell the log which."""
    log.error("internal error", path=request.url.path, exc_info=error)
    return problem("internal", "The request was understood, and failed inside.")


HANDLERS: dict[Any, Any] = {
    CallboardError: on_known,
    BusError: on_bus,
    HTTPException: on_http,
    Exception: on_bug,
}
