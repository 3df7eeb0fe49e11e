"""Request bodies with a limit, and parameters: nothing is read that is larger than it may be."""

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts import wire
from callboard_contracts.errors import CallboardError

T = TypeVar("T")


async def read(request: Request, limit: int, too_large: CallboardError) -> bytes:
    """Return the body.

    :raises CallboardError: `too_large`, as soon as more than `limit` bytes came or are announced.
    """
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_large
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def decode(body: bytes, type_: type[T], code: str) -> T:
    """Read JSON as a type.

    :raises CallboardError: `invalid_json`, or `code` with the name of the field that is wrong.
    """
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise CallboardError(code, _sentence(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CallboardError("invalid_json", _sentence(error)) from None


def query(request: Request, type_: type[T]) -> T:
    """Read the parameters of the query as a type whose fields are their names.

    :raises CallboardError: `invalid_request` with the name of the parameter that is wrong.
    """
    try:
        return msgspec.convert(dict(request.query_params), type_, strict=False)
    except msgspec.ValidationError as error:
        raise CallboardError("invalid_request", _sentence(error)) from None


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a value as JSON."""
    return Response(wire.encode(value), status, headers, "application/json")


def _sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text[:500].replace("$.", "") + ("" if text.endswith(".") else ".")
