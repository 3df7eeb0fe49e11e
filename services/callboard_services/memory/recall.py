"""Finds what fits a question: by meaning and by words, fused; filtered by who asks. Equal questions, equal answers.

Both lists are exact and break ties by id, so an answer depends on what is remembered and not on how it came there.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from callboard_services.memory import vector
from callboard_services.memory.hits import Hit, hit
from callboard_services.memory.house import Memory
from callboard_services.memory.query import Query, checked, texts, where
from callboard_services.memory.table import Table

__all__ = ["Hit", "fused", "hit", "recall"]

_POOL: Final = 60
"""How many rows each of the two ways proposes."""
_WIDE: Final = 8
"""How many times more, when a filter that leaves many rows is left to the last step."""
_MEANING: Final = 0.6
"""What meaning counts beside words. Measured: see contracts/decisions/0020."""
_NARROW: Final = 20_000
"""How many rows a filter by tag, source or trust may leave before it is left to the last step."""


async def recall(house: Memory, query: Query) -> list[Hit]:
    """Return what fits a question best; the newest rows when it has no text.

    :raises CallboardError: `invalid_request`, or `unavailable`. :raises BusError: the broker does not answer.
    """
    checked(query)
    if not house.follower.opened and await house.empty(query.tenant, query.kinds):
        return []
    return await house.reading(query.tenant, lambda table: _found(house, table, query), kinds=query.kinds)


async def _found(house: Memory, table: Table, query: Query) -> list[Hit]:
    hidden = house.hidden(query.tenant)
    filters = where(query, hidden)
    mask, pool = await _allowed(table, query, filters, hidden)
    if not query.text.strip():
        newest = table.vectors.newest(mask, pool + 4 * query.limit)
        return await _shown(table, dict.fromkeys(newest, 0.0), filters, query.limit)
    matching, embedding = table.matching(query.text, filters, _POOL), house.embedder.embed([query.text])
    found, embedded = await asyncio.gather(matching, embedding)
    words, about = dict(found), vector.unpack(embedded[0])
    near = [id_ for id_, cosine in table.vectors.nearest(about, mask, pool) if cosine > 0]
    scores = fused(table.vectors.cosines({*near, *words}, about), words)
    best = sorted(scores.items(), key=lambda one: (-one[1], one[0]))
    return await _shown(table, dict(best), filters, query.limit)


async def _allowed(table: Table, query: Query, filters: str, hidden: Iterable[str]) -> tuple[Any, int]:
    """Return which rows may be near, and how many of them to look at."""
    ids, pool = None, _POOL
    if query.tags or query.source or query.trust:
        found = await table.find(filters, ["id"], _NARROW + 1)
        ids, pool = ([row["id"] for row in found], pool) if len(found) <= _NARROW else (None, pool * _WIDE)
    mask = table.vectors.allowed(query.sight.audiences, query.kinds, query.since_ms, query.until_ms, ids)
    if hidden:
        unseen = await table.find(f"array_has_any(sources, [{texts(hidden)}])", ["id"])
        mask &= ~table.vectors.allowed(None, ids=[row["id"] for row in unseen])
    return mask, pool


async def _shown(table: Table, scores: dict[str, float], filters: str, limit: int) -> list[Hit]:
    """Return the first of some rows, those that the filter leaves: nothing is shown that it was not asked about."""
    best, hits = list(scores), list[Hit]()
    for start in range(0, len(best), limit):
        some = best[start : start + limit]
        found = await table.shown(some, filters)
        for id_ in some:
            if id_ in found:
                hits.append(msgspec.structs.replace(found[id_], score=scores[id_]))
        if len(hits) >= limit:
            break
    return hits[:limit]


def fused(cosines: Mapping[str, float], words: Mapping[str, float]) -> dict[str, float]:
    """Return one score for each row from its cosine and its BM25 score, of which the best counts as 1."""
    best = max(words.values(), default=0.0) or 1.0
    return {
        id_: round(_MEANING * max(0.0, cosine) + (1 - _MEANING) * words.get(id_, 0.0) / best, 6)
        for id_, cosine in cosines.items()
    }
