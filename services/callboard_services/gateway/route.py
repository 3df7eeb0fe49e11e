"""A route, as the tables of routes hold it."""

from collections.abc import Callable
from typing import Any

import msgspec


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path."""

    method: str
    path: str
    handler: Callable[..., Any]
    summary: str
    body: Any = None
    """The type of the request's body, `bytes` for a file."""
    body_required: bool = True
    query: Any = None
    """The type whose fields are the parameters of the query."""
    headers: tuple[str, ...] = ()
    """Request headers with a meaning of their own."""
    success: int = 200
    returns: str = "application/json"
    errors: tuple[str, ...] = ()
    """Codes of the catalogue, beside those that every route can answer."""
