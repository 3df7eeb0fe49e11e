"""A question to memory. One without a tenant cannot be put: each tenant has tables of its own, and `tenant` names them.

What a run may see is a set of audiences, each a digest, so that no name that somebody chose is ever part of a filter
about who may see what.
"""

import hashlib
from collections.abc import Iterable
from typing import get_args

import msgspec

from callboard_contracts import memory, names
from callboard_contracts.errors import CallboardError

MOST = 50
"""How many rows an answer has at most."""
_KINDS: tuple[str, ...] = get_args(memory.Kind)
_TRUST: tuple[str, ...] = get_args(memory.Trust)


class Run(msgspec.Struct, frozen=True):
    """What a run sees: its own notes, what its user, its skill and its workspace share, and nothing else."""

    workspace: str
    run: str
    user: str = ""
    skill: str = ""

    @property
    def audiences(self) -> tuple[str, ...] | None:
        """Whose rows are seen. A run without a user, or without a skill, sees no user's and no skill's."""
        owners: tuple[tuple[memory.Scope, str], ...] = (("run", self.run), ("user", self.user), ("skill", self.skill))
        own = (audience(self.workspace, scope, owner) for scope, owner in owners if owner)
        return (audience(self.workspace, "workspace", ""), *own)


class Whole(msgspec.Struct, frozen=True):
    """What those see who answer for the tenant: all of it."""

    @property
    def audiences(self) -> tuple[str, ...] | None:
        """None: no row is left out."""
        return None


class Query(msgspec.Struct, frozen=True):
    """What is wanted. Without a text, the newest rows.

    :raises ValueError: the tenant cannot be one.
    """

    tenant: str
    sight: Run | Whole
    text: str = ""
    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """Rows have all of them."""
    source: str = ""
    """Rows came from it, or were derived from it."""
    trust: tuple[str, ...] = ()
    since_ms: int = 0
    until_ms: int = 0
    limit: int = 8

    def __post_init__(self) -> None:
        if not names.is_tenant(self.tenant):
            raise ValueError(f"{self.tenant!r} is no tenant")


def audience(workspace: str, scope: memory.Scope, owner: str) -> str:
    """Return the digest that stands for everyone who sees what a scope and its owner share."""
    return hashlib.blake2b(msgspec.json.encode([workspace, scope, owner]), digest_size=12).hexdigest()


def checked(query: Query) -> Query:
    """Return a query whose every part can be asked for.

    :raises CallboardError: `invalid_request`, with what cannot.
    """
    _known("kind", query.kinds, _KINDS)
    _known("trust", query.trust, _TRUST)
    if not 1 <= query.limit <= MOST:
        raise CallboardError("invalid_request", f"limit {query.limit} is not 1 to {MOST}")
    if query.until_ms and query.since_ms > query.until_ms:
        raise CallboardError("invalid_request", "since is later than until")
    return query


def _known(what: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    if unknown := [one for one in given if one not in known]:
        raise CallboardError("invalid_request", f"{what} {unknown[0]!r} is none of {', '.join(known)}")


def where(query: Query, hidden: Iterable[str] = ()) -> str:
    """Return the filter of a query as SQL; `hidden` are the sources in quarantine."""
    parts: list[str] = []
    if query.sight.audiences is not None:
        parts.append(f"audience IN ({texts(query.sight.audiences)})")
    if query.kinds:
        parts.append(f"kind IN ({texts(query.kinds)})")
    if query.trust:
        parts.append(f"trust IN ({texts(query.trust)})")
    if query.since_ms:
        parts.append(f"at_ms >= {query.since_ms:d}")
    if query.until_ms:
        parts.append(f"at_ms < {query.until_ms:d}")
    return " AND ".join(parts + _lists(query, tuple(hidden))) or "true"


def _lists(query: Query, hidden: tuple[str, ...]) -> list[str]:
    parts: list[str] = []
    if query.tags:
        parts.append(f"array_has_all(tags, [{texts(query.tags)}])")
    if query.source:
        parts.append(f"array_has_any(sources, [{texts([query.source])}])")
    if hidden:
        parts.append(f"NOT array_has_any(sources, [{texts(hidden)}])")
    return parts


def texts(values: Iterable[str]) -> str:
    """Return texts as SQL literals. A quote is the only thing that could end one, and it is doubled."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
