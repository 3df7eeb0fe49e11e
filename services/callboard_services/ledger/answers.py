"""Answers by request and reply: `cb.<tenant>.ask.ledger.{run|runs|archived}`. The subject names the tenant."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from callboard.bus import Bus, Delivery, layout
from callboard.tasks import Tasks
from callboard_contracts import ids, wire
from callboard_contracts.errors import CallboardError
from callboard_services.ledger import history, queries, requests
from callboard_services.ledger.archive.rebuild import Rebuild
from callboard_services.ledger.archive.recall import Archived, recall
from callboard_services.ledger.audit import answer as audited
from callboard_services.ledger.audit.auditor import Auditor
from callboard_services.ledger.cost.money import Money
from callboard_services.ledger.fitting import fitting
from callboard_services.ledger.follow import Follower
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Row

log = structlog.get_logger()

SUBJECT = "cb.*.ask.ledger.*"
_ARCHIVED = "cb.*.ask.ledger.archived"
_PATIENCE_S = 2.0
_LAST_WORD_S = 2.5
"""An archive is one ledger's alone: who has nothing says so only when all others had time to answer."""
_MOST_AT_ONCE = 64
_BESIDE_ROWS = 64 * 1024


class Answers:
    """Answers from the tables, and from the archive.

    Several ledgers share the questions about tables, which all hold everything; every one of them hears the questions
    about the archive, of which each holds files of its own.
    """

    def __init__(
        self, bus: Bus, store: Store, followers: dict[str, Follower], archive: Rebuild, auditor: Auditor
    ) -> None:
        self._bus = bus
        self._store = store
        self._followers = followers
        self._archive = archive
        self._money = Money(bus, store, followers)
        self._auditor = auditor
        self._tasks = Tasks()
        self._stops: list[Callable[[], Coroutine[Any, Any, None]]] = []

    @property
    def _room(self) -> int:
        """How many bytes the rows of an answer may have: the broker hangs up on who sends more than it takes."""
        return self._bus.client.max_payload - _BESIDE_ROWS

    async def start(self) -> None:
        """Begin to answer."""
        self._stops.append(await self._bus.subscribe(SUBJECT, self._on_shared, queue="ledger"))
        self._stops.append(await self._bus.subscribe(_ARCHIVED, self._on_question))

    async def stop(self) -> None:
        """Answer no more."""
        for stop in self._stops:
            await stop()
        self._tasks.cancel()

    def _on_shared(self, question: Delivery) -> None:
        if not question.subject.endswith(".archived"):
            self._on_question(question)

    def _on_question(self, question: Delivery) -> None:
        if len(self._tasks) >= _MOST_AT_ONCE:
            self._reply(question, {"error": "unavailable", "detail": "the ledger is asked too much at once"})
            return
        self._tasks.spawn(self._answer(question))

    async def _answer(self, question: Delivery) -> None:
        _, tenant, _, _, kind = question.subject.split(".")
        try:
            answer = await self._found(tenant, kind, question.body)
        except msgspec.MsgspecError as error:
            answer = {"error": "invalid_request", "detail": str(error)}
        except CallboardError as error:
            answer = {"error": error.code, "detail": error.detail}
        except sqlite3.Error as error:
            log.warning("question not answered", reason=str(error))
            answer = {"error": "unavailable", "detail": "the ledger's tables cannot be read"}
        except (OSError, ValueError, ImportError) as error:
            log.warning("question not answered", reason=str(error))
            answer = {"error": "unavailable", "detail": "the archive cannot be read"}
        self._reply(question, answer)

    def _reply(self, question: Delivery, answer: Row) -> None:
        if question.reply:
            self._bus.send(question.reply, wire.encode(answer))

    async def _found(self, tenant: str, kind: str, body: bytes) -> Row:
        match kind:
            case "run":
                return await self._run(tenant, wire.decode(body, queries.OneRun))
            case "runs":
                wanted = wire.decode(body or b"{}", history.Runs)
                rows = await asyncio.to_thread(history.runs, self._store, tenant, wanted)
                return {"runs": (fit := fitting(rows, self._room)), "more": len(fit) < len(rows)}
            case "approvals":
                asked = wire.decode(body or b"{}", requests.Approvals)
                rows = await asyncio.to_thread(requests.page, self._store, tenant, asked)
                return {"approvals": (fit := fitting(rows, self._room)), "more": len(fit) < len(rows)}
            case "audit" | "seal" | "key" | "trees":
                return await audited.answer(self._auditor, self._store, tenant, kind, body)
            case "cost" | "prices" | "alerts":
                return await self._money.answer(kind, tenant, body, self._room)
            case "archived":
                return await self._recalled(tenant, wire.decode(body, Archived))
            case _:
                return {"error": "not_found", "detail": f"the ledger does not answer {kind!r}"}

    async def _recalled(self, tenant: str, question: Archived) -> Row:
        most = self._bus.client.max_payload
        answer = await asyncio.to_thread(recall, self._store, self._archive.folder, tenant, question, most)
        if "error" in answer:
            await asyncio.sleep(_LAST_WORD_S)
        return answer

    async def _run(self, tenant: str, question: queries.OneRun) -> Row:
        follower = self._followers[layout.journal_of(ids.tree_of(question.run), len(self._followers))]
        current = await follower.reached(question.min_seq, _PATIENCE_S) and self._archive.done
        found = await asyncio.to_thread(queries.one_run, self._store, tenant, question)
        if found is None and not self._archive.done:
            return {"error": "unavailable", "detail": "the ledger reads its archive again"}
        if found is None:
            return {"error": "unknown_run", "detail": f"run {question.run!r}", "behind": not current}
        found["breakdown"] = fitting(found["breakdown"], self._room * 2 // 3, newest=True)
        found["children"] = fitting(found["children"], self._room // 3)
        return {"run": found, "behind": not current}
