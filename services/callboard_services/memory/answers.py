"""Answers by request and reply: `cb.<tenant>.ask.memory.<question>`. The subject names the tenant, never the body.

What changes something is stored before it is answered. An error is `{"error": <code>, "detail": <sentence>}`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from callboard.bus import BusError, Delivery
from callboard.tasks import Tasks
from callboard_contracts import wire
from callboard_contracts.errors import CallboardError
from callboard_services.memory import questions
from callboard_services.memory.house import Memory

log = structlog.get_logger()

SUBJECT: Final = "cb.*.ask.memory.*"
_MOST_AT_ONCE = 64

Question = Callable[[Memory, str, bytes], Awaitable[object]]
"""Takes the tenant and the body, and returns what is answered as JSON."""

QUESTIONS: Final[Mapping[str, Question]] = {
    "recall": questions.recall_,
    "get": questions.get,
    "sources": questions.sources,
    "remember": questions.remember,
    "forget": questions.forget,
    "trace": questions.trace,
    "quarantine": questions.quarantine,
    "release": questions.release,
    "rebuild": questions.rebuild,
    "stats": questions.stats,
}


class Answers:
    """Answers questions; several processes share them."""

    def __init__(self, house: Memory, known: Mapping[str, Question] = QUESTIONS) -> None:
        self._house = house
        self._known = known
        self._tasks = Tasks()
        self._stop: Callable[[], Any] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._stop = await self._house.bus.subscribe(SUBJECT, self._on_question, queue="memory")

    async def stop(self) -> None:
        """Answer no more."""
        if self._stop is not None:
            await self._stop()
        await self._tasks.stop()

    def _on_question(self, question: Delivery) -> None:
        if len(self._tasks) >= _MOST_AT_ONCE:
            self._reply(question, {"error": "unavailable", "detail": "memory is asked too much at once"})
            return
        self._tasks.spawn(self._answer(question))

    async def _answer(self, question: Delivery) -> None:
        _, tenant, _, _, kind = question.subject.split(".")
        began = time.monotonic()
        try:
            answer = await self._found(tenant, kind, question.body)
        except CallboardError as error:
            answer = {"error": error.code, "detail": error.detail}
        except (msgspec.MsgspecError, ValueError) as error:
            answer = {"error": "invalid_request", "detail": str(error)}
        except BusError as error:
            answer = {"error": "unavailable", "detail": f"the broker did not answer: {error}"}
        except (RuntimeError, OSError) as error:  # LanceDB's
            refused = self._house.damaged(error)
            answer = {"error": refused.code, "detail": refused.detail}
        except Exception:  # one question must not end the service
            log.exception("question not answered", question=kind)
            answer = {"error": "internal", "detail": "the question could not be answered; the log tells why"}
        self._reply(question, answer)
        log.debug("answered", question=kind, ms=int((time.monotonic() - began) * 1000))

    async def _found(self, tenant: str, kind: str, body: bytes) -> object:
        if kind not in self._known:
            raise CallboardError("not_found", f"memory does not answer {kind!r}")
        return await self._known[kind](self._house, tenant, body)

    def _reply(self, question: Delivery, answer: object) -> None:
        if not question.reply:
            return
        body = wire.encode(answer)
        if len(body) > self._house.bus.client.max_payload - 1024:
            body = wire.encode({"error": "invalid_request", "detail": "the answer is too large: ask for fewer rows"})
        self._house.bus.send(question.reply, body)
