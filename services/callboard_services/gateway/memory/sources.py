"""Where what is remembered comes from: sources listed, followed to who read them, hidden, released; and the whole."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts.errors import CallboardError
from callboard_contracts.memory import Kind
from callboard_services.gateway.bodies import decode, json, query, read
from callboard_services.gateway.memory.asking import ask_memory

_MAX_BODY = 16 * 1024
_Source = Annotated[str, Meta(min_length=1, max_length=2048)]


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of `GET /v1/memory/sources`."""

    workspace: Annotated[str, Meta(max_length=256)] = ""
    """Only this one's."""
    kind: Kind | None = None
    """Only of this kind; left out: all but episodes, of which there is one for each run."""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source by its name."""

    source: _Source


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/memory/quarantine`."""

    source: _Source
    reason: Annotated[str, Meta(max_length=500)] = ""
    release: bool = False
    """Show it again."""


async def index(request: Request) -> Response:
    """List sources."""
    return json(await ask_memory(request, "person-sources", query(request, Page)))


async def trace(request: Request) -> Response:
    """Tell what was derived from a source, and who read it."""
    return json(await ask_memory(request, "person-trace", query(request, Named)))


async def forget(request: Request) -> Response:
    """Forget a source with all its rows."""
    return json(await ask_memory(request, "person-forget", query(request, Named)))


async def quarantine(request: Request) -> Response:
    """Hide a source and what was derived from it, or release it."""
    too_large = CallboardError("invalid_request", f"The body may have {_MAX_BODY:,} bytes.")
    wanted = decode(await read(request, _MAX_BODY, too_large), Quarantine, "invalid_request")
    question = "release" if wanted.release else "person-quarantine"
    return json(await ask_memory(request, question, {"source": wanted.source, "reason": wanted.reason}))


async def rebuild(request: Request) -> Response:
    """Begin to build the tables anew from the stream; `stats` tells how far it is."""
    return json(await ask_memory(request, "rebuild"), 202)


async def stats(request: Request) -> Response:
    """Tell how much is remembered, and in what state the projection is."""
    return json(await ask_memory(request, "stats"))
