"""What is remembered, row by row: found, shown, forgotten; and what a user prefers."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts.errors import CallboardError
from callboard_contracts.memory import WORKSPACE, Kind
from callboard_services.gateway.bodies import decode, json, query, read
from callboard_services.gateway.memory.asking import ask_memory
from callboard_services.gateway.memory.documents import Tag, Workspace

_MAX_BODY = 16 * 1024
_MAX_ID = 512


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of `GET /v1/memory/search`."""

    q: Annotated[str, Meta(min_length=1, max_length=2000)]
    """What is looked for, in words."""
    kind: Kind | None = None
    since: Annotated[str, Meta(max_length=64)] = ""
    """`7d`, a day such as `2026-11-03`, or ISO 8601."""
    until: Annotated[str, Meta(max_length=64)] = ""
    tag: Annotated[str, Meta(max_length=64)] = ""
    source: Annotated[str, Meta(max_length=2048)] = ""
    skill: Annotated[str, Meta(max_length=64)] = ""
    """What the runs of this skill see too."""
    workspace: Workspace = WORKSPACE
    limit: Annotated[int, Meta(ge=1, le=50)] = 10


class Preference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/memory/preferences`."""

    text: Annotated[str, Meta(min_length=1, max_length=500)]
    tags: Annotated[tuple[Tag, ...], Meta(max_length=32)] = ()


async def search(request: Request) -> Response:
    """Find rows."""
    return json(await ask_memory(request, "person-search", query(request, Search)))


async def one(request: Request) -> Response:
    """Show a row, or every chunk of a document."""
    return json(await ask_memory(request, "person-show", {"id": id_of(request)}))


async def forget(request: Request) -> Response:
    """Forget a row."""
    return json(await ask_memory(request, "person-forget", {"id": id_of(request)}))


async def prefer(request: Request) -> Response:
    """Remember what the one who acts prefers."""
    too_large = CallboardError("invalid_request", f"The body may have {_MAX_BODY:,} bytes.")
    wanted = decode(await read(request, _MAX_BODY, too_large), Preference, "invalid_request")
    return json(await ask_memory(request, "prefer", wanted), 201)


async def preferences(request: Request) -> Response:
    """List what the one who acts prefers."""
    return json(await ask_memory(request, "preferences"))


def id_of(request: Request) -> str:
    """Return the row that a path names.

    :raises CallboardError: `unknown_memory`, it cannot be one.
    """
    found: Any = request.path_params["id"]
    if not found or len(found) > _MAX_ID or not found.isprintable() or any(letter in found for letter in " *>"):
        raise CallboardError("unknown_memory", f"Nothing is remembered as {str(found)[:80]!r}.")
    return str(found)
