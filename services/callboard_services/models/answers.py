"""Answers by request and reply: `cb.<tenant>.ask.models.prompt`, the window of a turn built again from the records."""

from typing import Annotated

import msgspec
import structlog

from callboard.bus import BusError, Delivery, objects, reader
from callboard.tasks import Tasks
from callboard_contracts import call, ids, model, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.window import Part
from callboard_services.models import job as jobs
from callboard_services.models import parts, tokens, turns
from callboard_services.models.errors import ProviderError
from callboard_services.models.gather import Gatherer
from callboard_services.models.job import Job, Request
from callboard_services.models.log import Log
from callboard_services.models.turns import Question

log = structlog.get_logger()

SUBJECT = "cb.*.ask.models.*"
_MOST_AT_ONCE = 16
_BESIDE_CONTENTS = 64 * 1024


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which prompt. Of `turn` and `call` one is named."""

    run: str
    turn: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The how manieth question to the model, as `callboard runs show` numbers them."""
    call: str = ""
    """The call that asked."""
    contents: bool = False
    """With the messages themselves."""


class Answers:
    """Answers questions about prompts. Several models services share them."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer
        self._bus = gatherer.bus
        self._tasks = Tasks()

    def on_question(self, question: Delivery) -> None:
        """Answer later; at once when too much is asked."""
        if len(self._tasks) >= _MOST_AT_ONCE:
            self._reply(question, _error("unavailable", "the models service is asked too much at once"))
        else:
            self._tasks.spawn(self._answer(question))

    async def stop(self) -> None:
        """Answer no more."""
        await self._tasks.stop()

    async def _answer(self, question: Delivery) -> None:
        _, tenant, _, _, kind = question.subject.split(".")
        try:
            answer = await self._found(tenant, kind, question.body)
        except msgspec.MsgspecError as error:
            answer = _error("invalid_request", str(error))
        except turns.NoTurnError as error:
            answer = _error("unknown_turn", str(error))
        except LookupError as error:
            answer = _error("archived", str(error))
        except ProviderError as error:
            answer = _error(error.code, f"the prompt cannot be built again: {error.message}")
        except (BusError, CallboardError) as error:
            log.warning("question not answered", reason=str(error))
            answer = _error("unavailable", "the records cannot be read just now")
        self._reply(question, answer)

    def _reply(self, question: Delivery, answer: object) -> None:
        if question.reply:
            self._bus.send(question.reply, wire.encode(answer))

    async def _found(self, tenant: str, kind: str, body: bytes) -> object:
        if kind != "prompt":
            return _error("not_found", f"the models service does not answer {kind!r}")
        wish = wire.decode(body, Wish)
        if not ids.is_run(wish.run) or (wish.call and ids.run_of(wish.call) != wish.run):
            return _error("invalid_request", f"{wish.call or wish.run!r} is not of a run")
        if not wish.turn and not wish.call:
            return _error("invalid_request", "name a turn, from 1 on, or a call")
        return await self._prompt(subjects.Address.of_run(tenant, wish.run), wish)

    async def _prompt(self, address: subjects.Address, wish: Wish) -> model.Prompt:
        bus, groups = self._bus, self._gatherer.groups
        if wish.call:
            asked = await turns.of_call(bus, groups, address, wish.call)
        else:
            asked = await turns.of_turn(bus, groups, address, wish.turn)
        job = await self._gatherer.job(address.tenant, await self._whole(asked.call), asked.source)
        request = jobs.prepare(job, self._gatherer.catalogue)
        recorded = await self._recorded(address, asked)
        every = parts.of(job, request)
        return self._bounded(_told(asked, job, request, every, recorded), every, contents=wish.contents)

    async def _whole(self, made: call.Call) -> call.Call:
        if not made.arguments_ref:
            return made
        found = msgspec.json.decode(await objects.get_blob(self._bus, made.arguments_ref))
        return msgspec.structs.replace(made, arguments=found, arguments_ref="")

    async def _recorded(self, address: subjects.Address, asked: Question) -> str:
        """Return the digest that the result names."""
        if asked.taken is None or asked.taken.code == "call_timeout":
            return ""
        stream = Log(self._bus, self._gatherer.groups, address, {}).stream
        found = await reader.get(self._bus, stream, asked.taken.seq)
        result: call.Result | None = wire.decode(found.body, call.Result) if found is not None else None
        return result.usage.prompt if isinstance(result, call.Completed | call.Failed) else ""

    def _bounded(self, told: model.Prompt, every: tuple[Part, ...], *, contents: bool) -> model.Prompt:
        bare = msgspec.structs.replace(told, parts=parts.without_contents(every))
        if not contents:
            return bare
        room = self._bus.client.max_payload - len(wire.encode(bare)) - _BESIDE_CONTENTS
        shown = parts.within(every, room)
        return msgspec.structs.replace(told, parts=shown, more=shown != every)


def _told(asked: Question, job: Job, request: Request, every: tuple[Part, ...], recorded: str) -> model.Prompt:
    standing, sent = job.history[0].standing, request.prompt
    offered = 0 if sent.plain else tokens.of_offer(sent.tools, sent.contract)
    return model.Prompt(
        run=ids.run_of(job.call.id),
        turn=asked.turn,
        call=job.call.id,
        model=request.model.name,
        source=asked.source,
        result=asked.taken.seq if asked.taken is not None else 0,
        digest=request.digest,
        recorded=recorded,
        exact=recorded == request.digest,
        window_tokens=request.model.context_tokens or model.DEFAULT_WINDOW,
        answer_tokens=sent.max_output_tokens,
        tokens=tokens.of_messages(sent.messages) + offered,
        counted_tokens=asked.taken.input_tokens if asked.taken is not None else 0,
        tools=tuple(spec.name for spec in sent.tools),
        summary=standing.seq if standing is not None else 0,
        summarised=standing.summary.answers if standing is not None else 0,
        dropped=sum(part.steps for part in every if part.state == "dropped"),
    )


def _error(code: str, detail: str) -> dict[str, str]:
    return {"error": code, "detail": detail}
