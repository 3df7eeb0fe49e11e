"""The routes of memory."""

from callboard_services.gateway.memory import documents, rows, sources
from callboard_services.gateway.route import Route

_BODY = ("invalid_json", "invalid_request")
_DOCUMENT = ("file_too_large", "unreadable_document", "address_refused", "fetch_failed", "unknown_skill")

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/memory/documents", handler=documents.post, body=documents.Document,
        summary="Remember a document in chunks; under the same source it replaces what it was",
        errors=(*_BODY, *_DOCUMENT),
    ),
    Route(
        method="GET", path="/v1/memory/search", handler=rows.search, query=rows.Search, errors=("invalid_request",),
        summary="Find what is remembered, as a run of the one who asks would",
    ),
    Route(
        method="GET", path="/v1/memory/rows/{id}", handler=rows.one, errors=("unknown_memory",),
        summary="A row whole, or every chunk of a document, with where it comes from",
    ),
    Route(
        method="DELETE", path="/v1/memory/rows/{id}", handler=rows.forget, errors=("unknown_memory",),
        summary="Forget a row or a document for good",
    ),
    Route(
        method="GET", path="/v1/memory/preferences", handler=rows.preferences,
        summary="What the one who asks prefers, and which lines of it runs are told",
    ),
    Route(
        method="POST", path="/v1/memory/preferences", handler=rows.prefer, body=rows.Preference, success=201,
        summary="Remember what the one who acts prefers: his runs are told from then on", errors=_BODY,
    ),
    Route(
        method="GET", path="/v1/memory/sources", handler=sources.index, query=sources.Page,
        summary="List the sources of what is remembered, newest first", errors=("invalid_request",),
    ),
    Route(
        method="DELETE", path="/v1/memory/sources", handler=sources.forget, query=sources.Named,
        summary="Forget a source with all its rows", errors=("invalid_request", "unknown_memory"),
    ),
    Route(
        method="GET", path="/v1/memory/trace", handler=sources.trace, query=sources.Named,
        summary="Every row that comes from a source, and every run that read one", errors=("invalid_request",),
    ),
    Route(
        method="POST", path="/v1/memory/quarantine", handler=sources.quarantine, body=sources.Quarantine,
        summary="Hide a source with all that was derived from it, or show it again", errors=_BODY,
    ),
    Route(
        method="POST", path="/v1/memory/rebuild", handler=sources.rebuild, success=202,
        summary="Begin to build the tables anew; the statistics tell how far it is",
    ),
    Route(
        method="GET", path="/v1/memory/stats", handler=sources.stats,
        summary="How much is remembered, and how the tables are",
    ),
)  # fmt: skip
