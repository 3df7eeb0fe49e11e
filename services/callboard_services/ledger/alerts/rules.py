"""The rules of spend alerts, from TOML. Pure.

[[alert]]
scope = "skill"      # tenant, skill, user or tree: each one of them by itself
key = "totals"       # this one alone; left out: every one
usd = 5              # this much or more ...
window = "1h"        # ... within so long: 30m, 1h, 1d

[[alert]]
scope = "user"
jump = 5             # so many times what is usual
floor_usd = 1        # and never below this
window = "10m"
"""

import re
import tomllib
from pathlib import Path

import msgspec

from callboard_contracts.errors import CallboardError
from callboard_contracts.units import MicroUsd, micro_usd
from callboard_services.ledger.spending import SCOPES, Scope

FILE = "alerts.toml"
DAY_MINUTES = 1440
OFF = "off"

_WINDOW = re.compile(r"([1-9][0-9]{0,4})(m|h|d)")
_MINUTES = {"m": 1, "h": 60, "d": DAY_MINUTES}
_LONGEST_JUMP = 120
"""Minutes. What is usual is learned from the windows of one day, and takes some of them."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Either an amount within a window (`limit`), or a multiple of what is usual (`jump`), never below `floor`."""

    scope: Scope
    key: str = ""
    minutes: int = 60
    limit: MicroUsd | None = None
    jump: float | None = None
    floor: MicroUsd = 1_000_000

    @property
    def name(self) -> str:
        """What tells it from other rules, whatever their order in the file."""
        what = f"limit:{self.limit}" if self.limit is not None else f"jump:{self.jump}:{self.floor}"
        return f"{self.scope}:{self.key}:{self.minutes}:{what}"


USUAL = tuple(Rule(scope=scope, minutes=10, jump=5.0) for scope in ("tenant", "skill", "user"))
"""Without a file: five times what is usual, and a dollar or more, within ten minutes."""


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scope: str
    key: str = ""
    usd: float | None = None
    window: str = ""
    jump: float | None = None
    floor_usd: float = 1.0


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alert: tuple[_Written, ...] = ()


def read(named: str, data: Path) -> tuple[Rule, ...]:
    """Return the rules of a file: the one that is named, else `alerts.toml` in the data folder, else the usual ones.

    :raises CallboardError: `invalid_request`, it cannot be read; the rule and what is wrong with it are named.
    """
    if named == OFF:
        return ()
    path = Path(named).expanduser() if named else data / FILE
    if not named and not path.exists():
        return USUAL
    try:
        return parse(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise CallboardError("invalid_request", f"the spend alerts {path} cannot be read: {error}") from None
    except CallboardError as error:
        raise CallboardError("invalid_request", f"{path}: {error}") from None


def parse(text: str) -> tuple[Rule, ...]:
    """Return the rules of a TOML text.

    :raises CallboardError: `invalid_request`.
    """
    try:
        written = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CallboardError("invalid_request", f"the spend alerts cannot be read: {error}") from None
    return tuple(_rule(number, one) for number, one in enumerate(written.alert, 1))


def _rule(number: int, one: _Written) -> Rule:
    try:
        return _checked(one)
    except ValueError as error:
        raise CallboardError("invalid_request", f"spend alert {number}: {error}") from None


def _checked(one: _Written) -> Rule:
    scope = next((scope for scope in SCOPES if scope == one.scope), None)
    if scope is None:
        raise ValueError(f"scope: {one.scope!r} is none of {', '.join(SCOPES)}")
    if (one.usd is None) == (one.jump is None):
        raise ValueError("it takes either usd or jump")
    minutes = _minutes(one.window or ("1h" if one.jump is None else "10m"))
    if one.usd is not None:
        if not (limit := micro_usd(one.usd)):
            raise ValueError("usd: it must be more than 0")
        return Rule(scope=scope, key=one.key, minutes=minutes, limit=limit)
    if one.jump is None or not one.jump > 1 or minutes > _LONGEST_JUMP:
        raise ValueError("jump: it must be more than 1, within a window of at most 2h")
    return Rule(scope=scope, key=one.key, minutes=minutes, jump=one.jump, floor=max(1, micro_usd(one.floor_usd)))


def _minutes(window: str) -> int:
    found = _WINDOW.fullmatch(window)
    minutes = int(found[1]) * _MINUTES[found[2]] if found else 0
    if not 1 <= minutes <= DAY_MINUTES:
        raise ValueError(f"window: {window!r} is no time such as 30m, 1h or 1d, of at most a day")
    return minutes
