"""The question `cost`: which calls, added up by what."""

from typing import Any, Literal, get_args

import msgspec

Dimension = Literal[
    "tenant", "user", "skill", "agent", "model", "tool", "status", "day", "tree", "run", "call"
]  # fmt: skip
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
MOST = 5000
"""Rows in one answer."""

_COLUMNS: dict[str, tuple[str, ...]] = {"agent": ("skill", "depth")}


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The question `cost`. Every filter that is given must hold; an empty skill is a goal without one."""

    by: tuple[str, ...] = ()
    """Add up by these; by nothing: one sum."""
    since_ms: int = 0
    """Calls that were asked for at this time or later, in ms since 1970."""
    until_ms: int = 0
    """Calls that were asked for before this time; 0: any."""
    skill: str | None = None
    user: str | None = None
    model: str | None = None
    tool: str | None = None
    status: str | None = None
    """How the tree's root ended, or `running` or `paused`."""
    label: str | None = None
    """`name` or `name:value`, of the tree's root."""
    tree: str | None = None
    run: str | None = None
    order: Literal["cost", "key"] = "cost"
    """The most expensive first, or in the order of the dimensions, which can be paged."""
    after: tuple[str | int, ...] = ()
    """With `order: key`: only rows after this one, given by its `at`."""
    limit: int = 1000

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns by which is added up."""
        found = [column for name in self.by for column in _COLUMNS.get(name, (name,))]
        return tuple(dict.fromkeys(column for column in found if column != "tenant"))

    @property
    def filters(self) -> dict[str, Any]:
        """The columns that must have a value."""
        given = {name: getattr(self, name) for name in ("skill", "user", "model", "tool", "status", "tree", "run")}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def needed(self) -> frozenset[str]:
        """All columns of which something is asked, time aside."""
        label = {"label"} if self.label is not None else set()
        return frozenset({*self.keys, *self.filters, *label})

    def problem(self) -> str:
        """Return what is wrong with the question, empty when nothing is."""
        if unknown := [name for name in self.by if name not in DIMENSIONS]:
            return f"by: {unknown[0]!r} is none of {', '.join(DIMENSIONS)}"
        if "call" in self.by and self.run is None and self.tree is None and not self.since_ms:
            return "by: single calls are told of one run or tree, or since some time: name it"
        if self.until_ms and self.until_ms <= self.since_ms:
            return "until: it is not after since"
        if self.after and (self.order != "key" or len(self.after) != len(self.keys)):
            return "after: it is the `at` of a row of the same question, in order of keys"
        return ""
