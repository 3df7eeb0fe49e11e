"""Whether a minute in which something was spent is reason for an alert. Reads the table `spend`, decides nothing else.

The minute is that of the records, not of the clock: so a ledger that reads on after a pause comes to the same alerts,
under the same ids, as one that was there.
"""

from hashlib import sha256
from statistics import median

from callboard_contracts import notice
from callboard_contracts.units import MicroUsd, dollars
from callboard_services.ledger.alerts.rules import DAY_MINUTES, Rule
from callboard_services.ledger.spending import MINUTE_MS, Moment
from callboard_services.ledger.store import Store

LEAST_WINDOWS = 6
"""So many windows must lie behind a scope's first spending before anything can be said to be usual."""

_WITHIN = """SELECT COALESCE(SUM(cost), 0) AS cost FROM spend
    WHERE tenant = ? AND scope = ? AND key = ? AND minute > ? AND minute <= ?"""
_BEFORE = """SELECT (? - minute) / ? AS nth, SUM(cost) AS cost FROM spend
    WHERE tenant = ? AND scope = ? AND key = ? AND minute > ? AND minute <= ? GROUP BY nth"""


def judge(store: Store, rule: Rule, moment: Moment) -> notice.Spend | None:
    """Return an alert, when a rule of the moment's scope gives reason for one."""
    tenant, scope, key, minute = moment
    if rule.scope != scope or rule.key not in ("", key):
        return None
    spent = int(store.select(_WITHIN, (tenant, scope, key, minute - rule.minutes, minute))[0]["cost"])
    if spent < (rule.floor if rule.limit is None else rule.limit):
        return None
    usual = None if rule.jump is None else _usual(store, rule, moment)
    threshold = _threshold(rule, usual)
    if threshold is None or spent < threshold:
        return None
    return notice.Spend(
        id=f"spend_{_digest(tenant, rule, key, minute)}",
        scope=scope,
        key=key,
        spent_micro_usd=spent,
        threshold_micro_usd=threshold,
        window_s=rule.minutes * 60,
        reason=_reason(rule, key, spent, threshold, usual),
        at_ms=minute * MINUTE_MS,
    )


def _threshold(rule: Rule, usual: MicroUsd | None) -> MicroUsd | None:
    if rule.limit is not None:
        return rule.limit
    return None if usual is None or rule.jump is None else max(rule.floor, round(rule.jump * usual))


def _usual(store: Store, rule: Rule, moment: Moment) -> MicroUsd | None:
    """Return the median of the windows of the day before, from the first spending on; None: it is too early to say."""
    *whose, minute = moment
    end = minute - rule.minutes
    found = store.select(_BEFORE, (end, rule.minutes, *whose, end - DAY_MINUTES, end))
    windows = 1 + max((row["nth"] for row in found), default=-1)
    if windows < LEAST_WINDOWS:
        return None
    return int(median([row["cost"] for row in found] + [0] * (windows - len(found))))


def _digest(tenant: str, rule: Rule, key: str, minute: int) -> str:
    """Return what is the same for every ledger: the window of the rule that the minute lies in."""
    return sha256(f"{tenant}|{rule.name}|{key}|{minute // rule.minutes}".encode()).hexdigest()[:32]


def _reason(rule: Rule, key: str, spent: MicroUsd, threshold: MicroUsd, usual: MicroUsd | None) -> str:
    what = f"{rule.scope} {key} spent ${dollars(spent):.2f} within {rule.minutes} min"
    if usual is None:
        return f"{what}; ${dollars(threshold):.2f} was declared"
    return f"{what}; ${dollars(usual):.2f} is usual, and ${dollars(threshold):.2f} would be reason to tell"
