"""The states that a worker keeps, the latest used last. Forgetting one costs a look into the journal and no more."""

from collections import OrderedDict
from typing import Generic, TypeVar

from callboard.runtime.journal import Held

_KEPT = 10_000

S = TypeVar("S")


class States(Generic[S]):
    """States by key, bounded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Held[S]] = OrderedDict()

    def get(self, key: str) -> Held[S] | None:
        """Return a state, None when it is not kept."""
        return self._kept.get(key)

    def keep(self, key: str, held: Held[S]) -> None:
        """Keep a state, and forget the one that was not used for longest."""
        self._kept[key] = held
        self._kept.move_to_end(key)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def forget(self, key: str) -> None:
        """Look into the journal the next time."""
        self._kept.pop(key, None)
