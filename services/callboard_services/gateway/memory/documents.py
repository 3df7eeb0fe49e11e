"""`POST /v1/memory/documents`: a document is remembered in chunks when the answer comes; sent again it is the same."""

import asyncio
import base64
import binascii
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard_contracts import names
from callboard_contracts.errors import CallboardError
from callboard_contracts.memory import WORKSPACE, Trust
from callboard_services.gateway.bodies import decode, json, read
from callboard_services.gateway.house import House, house_of
from callboard_services.gateway.memory.asking import SERVICE, ask_memory
from callboard_services.gateway.questions import ask

MAX_BYTES = 32 * 1024 * 1024
_MAX_BODY = MAX_BYTES * 4 // 3 + 64 * 1024
_PIECE_BYTES = 256 * 1024
_ANSWER_S = 30.0
"""The memory says at least every twenty seconds that it is still at it: a long book takes minutes."""
_uploads = asyncio.Semaphore(4)
"""Documents are held in memory while they are stored: at most this many at once."""

Tag = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\s,]+$")]
Workspace = Annotated[str, Meta(min_length=1, max_length=256)]


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/memory/documents`: one of `url`, `text` and `base64`."""

    url: Annotated[str, Meta(max_length=2048)] = ""
    """A page to be fetched from the public internet."""
    text: str = ""
    base64: str = ""
    """The bytes of a file."""
    source: Annotated[str, Meta(max_length=1024)] = ""
    """What it is known by, such as its path: sent again under the same, it replaces what it was. Of a URL: the URL."""
    media_type: Annotated[str, Meta(max_length=256)] = ""
    title: Annotated[str, Meta(max_length=256)] = ""
    scope: Literal["workspace", "user", "skill"] = "workspace"
    skill: str = ""
    """With `scope` `skill`: whose runs read it."""
    workspace: Workspace = WORKSPACE
    trust: Trust | None = None
    """Who vouches for it. Left out: `web` for a URL, `person` for the rest."""
    tags: Annotated[tuple[Tag, ...], Meta(max_length=32)] = ()
    allow_private: bool = False
    """Fetch from addresses that are not public: only for whoever sits at the machine, without a key."""


async def post(request: Request) -> Response:
    """Ingest a document."""
    house = house_of(request)
    too_large = CallboardError("file_too_large", f"A document may have {MAX_BYTES:,} bytes.")
    async with _uploads:
        wanted = decode(await read(request, _MAX_BODY, too_large), Document, "invalid_request")
        _check(house, wanted)
        return json(await _ingested(request, wanted, b"" if wanted.url else _content(wanted)))


async def _ingested(request: Request, wanted: Document, data: bytes) -> dict[str, Any]:
    """Hand a document over, and return what became of it.

    :raises CallboardError: why it is not remembered.
    """
    house = house_of(request)
    opened = await ask_memory(request, "ingest", _question(wanted, len(data)))
    question = f"ingest.{opened['token']}"
    size = min(_PIECE_BYTES, house.bus.client.max_payload // 2)
    for start in range(0, len(data), size):
        await ask(house, question, data[start : start + size], service=SERVICE)
    while (answer := await ask(house, question, b"", service=SERVICE, timeout_s=_ANSWER_S)).get("working"):
        pass  # it waits there until it is done, and says so now and then
    return answer


def _check(house: House, wanted: Document) -> None:
    """Check what the gateway knows.

    :raises CallboardError: `invalid_request`, `unknown_skill`, `address_refused`.
    """
    given = [name for name in ("url", "text", "base64") if getattr(wanted, name)]
    if len(given) != 1:
        raise CallboardError("invalid_request", "One of `url`, `text` and `base64` holds the document.")
    if bool(wanted.source.strip()) == bool(wanted.url):
        raise CallboardError("invalid_request", "`source` says what a document is known by; a page is by its URL.")
    if (wanted.scope == "skill") != bool(wanted.skill):
        raise CallboardError("invalid_request", "`skill` goes with the scope `skill`, and with no other.")
    if wanted.skill and (not names.is_skill(wanted.skill) or house.registry.facts.skill(wanted.skill) is None):
        raise CallboardError("unknown_skill", f"There is no skill {wanted.skill[:80]!r}.")
    if wanted.allow_private and (house.keys.keys or not house.loopback):
        raise CallboardError("address_refused", "Only who uses the system at its own machine, without a key, may.")


def _content(wanted: Document) -> bytes:
    """Return the bytes of a document.

    :raises CallboardError: `invalid_request`, they are not base64; `file_too_large`.
    """
    try:
        data = wanted.text.encode() if wanted.text else base64.b64decode(wanted.base64, validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise CallboardError("invalid_request", f"The document cannot be read: {error}.") from None
    if len(data) > MAX_BYTES:
        raise CallboardError("file_too_large", f"A document may have {MAX_BYTES:,} bytes.")
    return data


def _question(wanted: Document, size: int) -> dict[str, Any]:
    kept = ("url", "source", "media_type", "title", "scope", "skill", "workspace", "tags", "allow_private")
    trust = wanted.trust or ("web" if wanted.url else "person")
    return {name: getattr(wanted, name) for name in kept} | {"bytes": size, "trust": trust}
