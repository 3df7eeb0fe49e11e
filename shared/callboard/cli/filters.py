"""Filters as flags: which runs a list is of, and which calls a sum is of. All that are given must hold."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from cyclopts import Parameter

_NAMES = {"tag": "label"}
"""What a flag is called over HTTP, where that is another word."""


def _text(help_: str) -> Parameter:
    return Parameter(help=help_)


@dataclass(frozen=True, kw_only=True)
class _Filters:
    def query(self) -> dict[str, Any]:
        """Return what was given, as parameters of a query."""
        return {_NAMES.get(name, name): value for name, value in asdict(self).items() if value}

    def words(self) -> str:
        """Return what was given, as it was given."""
        return " ".join(f"--{name.replace('_', '-')} {_shown(value)}" for name, value in asdict(self).items() if value)


def _shown(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunFilters(_Filters):
    """Which runs."""

    status: Annotated[str, _text("Only those with this status.")] = ""
    skill: Annotated[str, _text("Only those of this skill.")] = ""
    user: Annotated[str, _text("Only those that this user started.")] = ""
    tag: Annotated[list[str] | None, _text("Only those with this label: NAME or NAME:VALUE.")] = None
    since: Annotated[str, _text("Only those that began since: 7d, 24h, a date or a time.")] = ""
    until: Annotated[str, _text("Only those that began before: as --since; a date counts whole.")] = ""
    min_cost: Annotated[str, _text("Only those that cost so many US dollars or more, sub-agents too.")] = ""
    max_cost: Annotated[str, _text("Only those that cost so many US dollars or less, sub-agents too.")] = ""
    before: Annotated[str, _text("Only those that come after this run in the list.")] = ""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CallFilters(_Filters):
    """Which calls."""

    since: Annotated[str, _text("Only calls since: 7d, 24h, a date or a time.")] = ""
    until: Annotated[str, _text("Only calls before: as --since; a date counts whole.")] = ""
    skill: Annotated[str, _text("Only those of this skill; _ is none.")] = ""
    user: Annotated[str, _text("Only those that this user started; _ is nobody.")] = ""
    model: Annotated[str, _text("Only those of this model.")] = ""
    tool: Annotated[str, _text("Only those of this tool.")] = ""
    status: Annotated[str, _text("Only those of trees that ended so.")] = ""
    tag: Annotated[str, _text("Only those of trees with this label: NAME or NAME:VALUE.")] = ""
    tree: Annotated[str, _text("Only those of this root run and all its sub-agents.")] = ""
    run: Annotated[str, _text("Only those of this run itself.")] = ""
