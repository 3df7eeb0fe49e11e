"""What can be asked of memory: the body of each question."""

import msgspec

from callboard_contracts import memory
from callboard_services.memory.query import Run


class Recall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Look something up; without `text` the newest. Times are in ms since 1970."""

    text: str = ""
    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    source: str = ""
    trust: tuple[str, ...] = ()
    since_ms: int = 0
    until_ms: int = 0
    limit: int = 8
    seen_by: Run | None = None
    """See what a run would see; absent: everything of the tenant."""


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows or documents, or everything that was taken from one source."""

    ids: tuple[str, ...] = ()
    source: str = ""
    reason: str = ""
    principal: str = ""


class Remember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Remember one text. Without an `id` it follows from what it says and who sees it."""

    text: str
    kind: memory.Kind = "fact"
    scope: memory.Scope = "workspace"
    owner: str = ""
    workspace: str = memory.WORKSPACE
    trust: memory.Trust = "person"
    source: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    principal: str = ""
    id: str = ""
