"""The questions about money, `cost`, `prices` and `alerts`: answered from all that the journal holds by then."""

import asyncio
import sqlite3
from collections.abc import Mapping

import msgspec

from callboard.bus import Bus, reader
from callboard_contracts import wire
from callboard_contracts.errors import CallboardError
from callboard_services.ledger.alerts.watch import newest
from callboard_services.ledger.cost.answer import cost
from callboard_services.ledger.cost.question import Cost
from callboard_services.ledger.fitting import fitting
from callboard_services.ledger.follow import Follower
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

_EVERY = "cb.*.*.*.*.*.log.>"
_PATIENCE_S = 0.8
_MOST = 1000
_PRICES = "SELECT model, input, output, since_ms FROM prices WHERE tenant = ? ORDER BY model, since_ms DESC LIMIT ?"
_TOO_BROAD = "by: so many calls cannot be added up that way in time; narrow it by time, user or run"


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """The question `alerts`: the newest first."""

    limit: int = 50


class Money:
    """Answers questions about money. It adds up one at a time: so nothing else waits for a thread because of it."""

    def __init__(self, bus: Bus, store: Store, followers: Mapping[str, Follower]) -> None:
        self._bus = bus
        self._store = store
        self._followers = followers
        self._adding = asyncio.Lock()

    async def answer(self, kind: str, tenant: str, body: bytes, room: int) -> Row:
        """Answer within so many bytes. `behind`: records are stored that could not be read yet.

        :raises CallboardError: `invalid_request`, with the parameter that is wrong. :raises BusError: no broker.
        """
        current = all(await asyncio.gather(*(self._current(follower) for follower in self._followers.values())))
        match kind:
            case "cost":
                found = await self._cost(tenant, wire.decode(body or b"{}", Cost))
                fits = fitting(found["rows"], room)
                found |= {"rows": fits, "more": found["more"] or len(fits) < len(found["rows"])}
            case "alerts":
                most = max(1, min(wire.decode(body or b"{}", Alerts).limit, _MOST))
                found = {"alerts": await asyncio.to_thread(newest, self._store, tenant, most)}
            case _:
                found = {"prices": await asyncio.to_thread(self._store.select, _PRICES, (tenant, _MOST))}
        return found | {"behind": not current}

    async def _current(self, follower: Follower) -> bool:
        last = await reader.last(self._bus, follower.stream, _EVERY)
        return last is None or await follower.reached(last.seq, _PATIENCE_S)

    async def _cost(self, tenant: str, question: Cost) -> Row:
        if problem := question.problem():
            raise CallboardError("invalid_request", problem)
        try:
            async with self._adding:
                return await asyncio.to_thread(cost, self._store, tenant, question)
        except sqlite3.OperationalError as error:
            if str(error) != "interrupted":
                raise
            raise CallboardError("invalid_request", _TOO_BROAD) from None
