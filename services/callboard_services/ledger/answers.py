"""Answers questions over request and reply: `cb.<tenant>.ask.ledger.{run|runs}`. The subject names the tenant."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from callboard.bus import Bus, Delivery, layout
from callboard_contracts import ids, wire
from callboard_services.ledger import queries
from callboard_services.ledger.follow import Follower
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

log = structlog.get_logger()

SUBJECT = "cb.*.ask.ledger.*"
_PATIENCE_S = 2.0
_MOST_AT_ONCE = 64


class Answers:
    """Answers from the tables. Several ledgers share the questions; each holds everything."""

    def __init__(self, bus: Bus, store: Store, followers: dict[str, Follower]) -> None:
        self._bus = bus
        self._store = store
        self._followers = followers
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._stop = await self._bus.subscribe(SUBJECT, self._on_question, queue="ledger")

    async def stop(self) -> None:
        """Answer no more."""
        if self._stop is not None:
            await self._stop()
        for task in self._tasks:
            task.cancel()

    def _on_question(self, question: Delivery) -> None:
        if len(self._tasks) >= _MOST_AT_ONCE:
            self._reply(question, {"error": "unavailable", "detail": "the ledger is asked too much at once"})
            return
        task = asyncio.create_task(self._answer(question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: Delivery) -> None:
        _, tenant, _, _, kind = question.subject.split(".")
        try:
            answer = await self._found(tenant, kind, question.body)
        except msgspec.MsgspecError as error:
            answer = {"error": "invalid_request", "detail": str(error)}
        except sqlite3.Error as error:
            log.warning("question not answered", reason=str(error))
            answer = {"error": "unavailable", "detail": "the ledger's tables cannot be read"}
        self._reply(question, answer)

    def _reply(self, question: Delivery, answer: Row) -> None:
        if question.reply:
            self._bus.send(question.reply, wire.encode(answer))

    async def _found(self, tenant: str, kind: str, body: bytes) -> Row:
        match kind:
            case "run":
                return await self._run(tenant, wire.decode(body, queries.OneRun))
            case "runs":
                wanted = wire.decode(body or b"{}", queries.Runs)
                return {"runs": await asyncio.to_thread(queries.runs, self._store, tenant, wanted)}
            case _:
                return {"error": "not_found", "detail": f"the ledger does not answer {kind!r}"}

    async def _run(self, tenant: str, question: queries.OneRun) -> Row:
        follower = self._followers[layout.journal_of(ids.tree_of(question.run), len(self._followers))]
        current = await follower.reached(question.min_seq, _PATIENCE_S)
        found = await asyncio.to_thread(queries.one_run, self._store, tenant, question)
        if found is None:
            return {"error": "unknown_run", "detail": f"run {question.run!r}", "behind": not current}
        return {"run": found, "behind": not current}
