"""The vectors of a tenant's rows in memory: exact nearest neighbours, the same however the rows came to be there.

A scan of one bit for each dimension leaves some hundred candidates, whole classes of equal distance, which are then
compared exactly. So the answer is a function of the rows and not of the order in which they were written, as it would
be with an index that is trained. A row takes about 1 KB.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_AT_FIRST = 1024
CANDIDATES = 512
"""How many rows at least are compared exactly."""


class Vectors:
    """Vectors by the ids of their rows, with what filters look at most. Call it from one thread.

    :param dimensions: of each vector.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._slots: dict[str, int] = {}
        self._ids: list[str] = []
        self._free: list[int] = []
        self._codes: dict[str, int] = {}
        """Audiences and kinds as small numbers."""
        self._words = -(-dimensions // 64)
        self._exact: Any = np.zeros((_AT_FIRST, dimensions), np.float16)
        self._bits: Any = np.zeros((self._words, _AT_FIRST), np.uint64)
        """A word of all rows after the other: each is one pass over memory."""
        self._audience: Any = np.full(_AT_FIRST, -1, np.int32)
        self._kind: Any = np.full(_AT_FIRST, -1, np.int32)
        self._at_ms: Any = np.zeros(_AT_FIRST, np.int64)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, id: str) -> bool:  # noqa: A002 - as it is called everywhere
        return id in self._slots

    def put(self, id: str, audience: str, kind: str, at_ms: int, vector: Any) -> None:  # noqa: A002
        """Add a row, or replace it. A vector of zeros is near nothing."""
        slot = self._slots.get(id)
        if slot is None:
            slot = self._slots[id] = self._room()
            self._ids[slot] = id
        self._exact[slot] = vector
        self._bits[:, slot] = self._packed(vector)
        self._audience[slot] = self._codes.setdefault(audience, len(self._codes))
        self._kind[slot] = self._codes.setdefault(kind, len(self._codes))
        self._at_ms[slot] = at_ms

    def drop(self, ids: Iterable[str]) -> None:
        """Take rows out; those that are not there are no error."""
        for id_ in ids:
            slot = self._slots.pop(id_, None)
            if slot is not None:
                self._audience[slot] = -1
                self._exact[slot] = 0
                self._free.append(slot)

    def allowed(
        self,
        audiences: Sequence[str] | None,
        kinds: Sequence[str] = (),
        since_ms: int = 0,
        until_ms: int = 0,
        ids: Iterable[str] | None = None,
    ) -> Any:
        """Return which slots may be answered with, as a mask; `ids` narrows it to rows."""
        mask = self._audience >= 0 if audiences is None else np.isin(self._audience, self._coded(audiences))
        if kinds:
            mask &= np.isin(self._kind, self._coded(kinds))
        if since_ms:
            mask &= self._at_ms >= since_ms
        if until_ms:
            mask &= self._at_ms < until_ms
        if ids is not None:
            named = np.zeros_like(mask)
            named[[self._slots[id_] for id_ in ids if id_ in self._slots]] = True
            mask &= named
        return mask

    def nearest(self, vector: Any, mask: Any, most: int) -> list[tuple[str, float]]:
        """Return the ids of the nearest rows and their cosines, the nearest first, equals by id."""
        slots = np.flatnonzero(mask)
        if len(slots) > CANDIDATES:
            apart = self._apart(self._packed(vector), len(self._ids))[slots]
            within = np.cumsum(np.bincount(apart))
            slots = slots[apart <= int(np.searchsorted(within, CANDIDATES))]
        found = sorted(zip((-self._cosines(slots, vector)).tolist(), (self._ids[slot] for slot in slots), strict=True))
        return [(id_, -below) for below, id_ in found[:most]]

    def cosines(self, ids: Iterable[str], vector: Any) -> dict[str, float]:
        """Return the cosines of rows; those that are not there are left out."""
        known = [id_ for id_ in ids if id_ in self._slots]
        return dict(zip(known, self._cosines([self._slots[id_] for id_ in known], vector).tolist(), strict=True))

    def _cosines(self, slots: Any, vector: Any) -> Any:
        return (self._exact[slots].astype(np.float64) * np.asarray(vector, np.float64)).sum(axis=1).round(9)

    def _apart(self, bits: Any, count: int) -> Any:
        """Return in how many bits each row differs."""
        apart: Any = np.zeros(count, np.uint16)
        for word, wanted in zip(self._bits, bits, strict=True):
            apart += np.bitwise_count(word[:count] ^ wanted)
        return apart

    def newest(self, mask: Any, most: int) -> list[str]:
        """Return the ids of the newest rows, the newest first, equals by id."""
        slots = np.flatnonzero(mask)
        found = sorted(zip((-self._at_ms[slots]).tolist(), (self._ids[slot] for slot in slots), strict=True))
        return [id_ for _, id_ in found[:most]]

    def kinds(self) -> dict[str, int]:
        """Return how many rows there are of each kind."""
        codes, counts = np.unique(self._kind[self._audience >= 0], return_counts=True)
        names = {code: name for name, code in self._codes.items()}
        return {names[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}

    def _coded(self, names: Sequence[str]) -> list[int]:
        return [self._codes[name] for name in names if name in self._codes]

    def _packed(self, vector: Any) -> Any:
        bits: Any = np.zeros(64 * self._words, bool)
        bits[: self.dimensions] = np.asarray(vector) > 0
        return np.packbits(bits).view(np.uint64)

    def _room(self) -> int:
        if self._free:
            return self._free.pop()
        slot = len(self._ids)
        self._ids.append("")
        if slot == len(self._audience):
            more = len(self._audience)
            self._exact = np.concatenate([self._exact, np.zeros((more, self.dimensions), np.float16)])
            self._bits = np.concatenate([self._bits, np.zeros((self._words, more), np.uint64)], axis=1)
            self._audience = np.concatenate([self._audience, np.full(more, -1, np.int32)])
            self._kind = np.concatenate([self._kind, np.full(more, -1, np.int32)])
            self._at_ms = np.concatenate([self._at_ms, np.zeros(more, np.int64)])
        return slot
