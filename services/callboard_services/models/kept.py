"""What was read of runs, kept for their next turn and bounded by bytes. Can be forgotten at any time."""

from collections import OrderedDict
from collections.abc import Collection

import msgspec

from callboard_contracts import run
from callboard_services.models.history import Entry

MOST_BYTES = 64 * 1024 * 1024
_MOST_RUNS = 2048
"""So that a process which has answered for many small runs does not go on growing."""
_OBJECTS = 512
"""About what a record takes beside its bytes."""


class Link(msgspec.Struct):
    """A record of a run as it is stored."""

    seq: int
    prev: int
    events: tuple[run.Event, ...]
    bytes: int
    """Of the record, and of its results once they were read."""
    genesis: int = 0
    """The sequence of the run's first record, when this one tells."""
    answered: int | None = None
    """How many answers of a model the run had taken after this record, when this one tells."""
    entry: Entry | None = None
    """With its results, once they were read."""


Page = dict[int, Link]
"""Records of one run, by sequence."""


class Kept:
    """The pages of many runs: that of the run which was not read for longest goes first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._pages: OrderedDict[str, tuple[Page, int]] = OrderedDict()
        self.bytes = 0
        """How much is kept."""

    def page(self, key: str) -> Page:
        """Return what is kept of a run, to be added to."""
        page, _ = self._pages.get(key, ({}, 0))
        return page

    def settle(self, key: str, page: Page, used: Collection[int]) -> None:
        """Keep of a run only what its last reading used, and of all runs only so much."""
        for seq in page.keys() - set(used):
            del page[seq]
        self._drop(key)
        size = sum(link.bytes + _OBJECTS for link in page.values())
        self._pages[key] = (page, size)
        self.bytes += size
        while self.bytes > self._most or len(self._pages) > _MOST_RUNS:
            self._drop(next(iter(self._pages)))

    def _drop(self, key: str) -> None:
        _, size = self._pages.pop(key, ({}, 0))
        self.bytes -= size
