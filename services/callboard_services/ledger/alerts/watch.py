"""Watches what is spent and tells people: each scope at most once within the window of a rule.

An alert is a row before it is published, so that a crash loses none. It carries an id that follows from its rule and
window: whoever says it again, another ledger or one whose database was deleted, says nothing new.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence

import msgspec
import structlog

from callboard.bus import Bus, BusError
from callboard.bus.streams import time_ms
from callboard_contracts import notice, subjects, wire
from callboard_services.ledger.alerts.judge import judge
from callboard_services.ledger.alerts.rules import DAY_MINUTES, Rule
from callboard_services.ledger.spending import MINUTE_MS, Moment
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

log = structlog.get_logger()

_ROUND_S = 0.5
_RETRY_S = 2.0
_KEPT_MINUTES = 3 * DAY_MINUTES
_TIDY_ROUNDS = 1200
_RECENT = "SELECT tenant, scope, key, minute FROM spend WHERE minute >= ?"
_LAST = "SELECT MAX(at_ms) AS at_ms FROM alerts WHERE tenant = ? AND rule = ? AND scope = ? AND key = ?"
_PUT = "INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
_UNTOLD = "SELECT id, tenant, body FROM alerts WHERE told = 0 ORDER BY at_ms"
_TOLD = "UPDATE alerts SET told = 1 WHERE id = ?"
_NEWEST = "SELECT body FROM alerts WHERE tenant = ? ORDER BY at_ms DESC, id LIMIT ?"


class Watch:
    """Judges every minute in which something was spent. What happened more than a day ago is no news."""

    def __init__(self, bus: Bus, store: Store, stream: str, rules: Sequence[Rule]) -> None:
        self._bus = bus
        self._store = store
        self._stream = stream
        self._rules = rules

    async def run(self) -> None:
        """Watch until cancelled. What fails is tried again."""
        moments: set[Moment] | None = None
        rounds = 0
        while True:
            try:
                if rounds % _TIDY_ROUNDS == 0 or moments is None:
                    moments = await self._tidy()
                moments |= await asyncio.to_thread(self._store.spent)
                if moments:
                    await asyncio.to_thread(self._look, moments, await self._today())
                    moments = set()
                await self._tell()
            except (BusError, sqlite3.Error) as error:
                log.warning("spend alerts wait", reason=str(error))
                await asyncio.sleep(_RETRY_S)
            rounds += 1
            await asyncio.sleep(_ROUND_S)

    async def _today(self) -> int:
        """Return the minute a day ago, by the broker's time, by which records are stamped."""
        return await time_ms(self._bus, self._stream) // MINUTE_MS - DAY_MINUTES

    async def _tidy(self) -> set[Moment]:
        """Forget what is too old to compare with, and return what is recent: a crash may have come before the look."""
        day = await self._today()
        await asyncio.to_thread(
            self._store.change, ("DELETE FROM spend WHERE minute < ?", [(day + DAY_MINUTES - _KEPT_MINUTES,)])
        )
        found = await asyncio.to_thread(self._store.select, _RECENT, (day,))
        return {(row["tenant"], row["scope"], row["key"], row["minute"]) for row in found}

    def _look(self, moments: Iterable[Moment], since: int) -> None:
        """Write an alert down for each rule that finds reason, in the order of time. Blocks."""
        for moment in sorted(moments, key=lambda one: (one[3], one[:3])):
            if moment[3] >= since:
                for rule in self._rules:
                    self._judge(rule, moment)

    def _judge(self, rule: Rule, moment: Moment) -> None:
        tenant, scope, key, minute = moment
        found = judge(self._store, rule, moment)
        if found is None:
            return
        last = self._store.select(_LAST, (tenant, rule.name, scope, key))[0]["at_ms"]
        if last is not None and minute * MINUTE_MS < last + rule.minutes * MINUTE_MS:
            return
        body = wire.encode(found).decode()
        self._store.change((_PUT, [(found.id, tenant, rule.name, scope, key, found.at_ms, body)]))

    async def _tell(self) -> None:
        for row in await asyncio.to_thread(self._store.select, _UNTOLD):
            said = wire.decode(row["body"].encode(), notice.Spend)
            headers = {wire.ID: said.id, wire.TYPE: wire.type_of(notice.Spend)}
            await self._bus.publish(subjects.notice(row["tenant"], "spend"), row["body"].encode(), headers)
            log.warning("spend alert", tenant=row["tenant"], reason=said.reason, at_ms=said.at_ms)
            await asyncio.to_thread(self._store.change, (_TOLD, [(said.id,)]))


def newest(store: Store, tenant: str, most: int) -> list[Row]:
    """Return the last alerts."""
    return [msgspec.json.decode(row["body"]) for row in store.select(_NEWEST, (tenant, most))]
