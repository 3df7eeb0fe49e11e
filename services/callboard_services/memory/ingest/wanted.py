"""A document as somebody wants it ingested. Pure but for the time at which it is."""

import time
from typing import Any

import msgspec

from callboard_contracts.errors import CallboardError
from callboard_contracts.memory import WORKSPACE, Origin, Trust
from callboard_services.memory.ingest.fetch import normal

Answer = dict[str, Any]
"""What is said of a document that was ingested."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A document to be ingested: a page, or bytes that will come."""

    principal: str
    """Who gives it."""
    url: str = ""
    bytes: int = 0
    """How many will come."""
    source: str = ""
    media_type: str = ""
    title: str = ""
    scope: str = "workspace"
    skill: str = ""
    workspace: str = WORKSPACE
    trust: Trust = "person"
    tags: tuple[str, ...] = ()
    allow_private: bool = False


def origin_of(wanted: Wanted) -> Origin:
    """Return where a document comes from, and who sees it.

    :raises CallboardError: `invalid_request`, nobody would.
    """
    owners = {"workspace": "", "user": wanted.principal, "skill": wanted.skill}
    source = normal(wanted.url) if wanted.url else wanted.source.strip()
    if wanted.scope not in owners or not source or (wanted.scope != "workspace" and not owners[wanted.scope]):
        raise CallboardError("invalid_request", f"a document of the scope {wanted.scope!r} needs a source and an owner")
    return Origin(
        scope=wanted.scope,  # type: ignore[arg-type]  # it is one of the three
        owner=owners[wanted.scope],
        workspace=wanted.workspace,
        trust=wanted.trust,
        source=source,
        principal=wanted.principal,
        at_ms=time.time_ns() // 1_000_000,
    )


def tags_of(wanted: Wanted) -> tuple[str, ...]:
    """Return the tags of a document, each once."""
    return tuple(sorted(set(wanted.tags)))
