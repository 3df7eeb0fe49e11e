"""What was said: prompts, answers, arguments, results. Only where `CALLBOARD_TRACE_CONTENT` asks for it.

It is read back from where the records say that it is, when a span is sent: an exporter that does not want it never
looks. Secrets are in no record, so they are not here either.
"""

from typing import Any, Final

import msgspec
import structlog

from callboard.bus import Bus, BusError, NoAnswer, objects, reader
from callboard.traces import Span
from callboard.traces import names as n
from callboard_contracts import call, ids, model, run, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Record
from callboard_services.ledger.traces.messages import bounded, json, message, spoken, text

log = structlog.get_logger()

_PROMPT_S: Final = 5.0

Attributes = dict[str, str]


class Contents:
    """Adds contents to spans."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def added(self, stream: str, span: Span) -> Span:
        """Return a span with what was said. What cannot be read any more is left out."""
        try:
            found = await self._found(stream, span)
        except (BusError, CallboardError, ValueError) as error:
            log.warning("a span goes without its contents", span=span.name, id=span.span_id, reason=str(error))
            return span
        told = {name: bounded(said) for name, said in found.items()}
        return msgspec.structs.replace(span, attributes=span.attributes | told)

    async def _found(self, stream: str, span: Span) -> Attributes:
        match span.attributes.get(n.OPERATION):
            case n.CHAT:
                return await self._prompt(span) | await self._answer(stream, span)
            case n.EXECUTE_TOOL:
                return await self._arguments(stream, span) | await self._result(stream, span)
            case n.INVOKE_AGENT:
                return await self._goal(stream, span) | await self._ending(stream, span)
            case _:
                return {}

    async def _prompt(self, span: Span) -> Attributes:
        """Return the prompt, built again by the models service; without one that answers there is none."""
        name = str(span.attributes[n.CALL])
        wish = {"run": ids.run_of(name), "call": name, "contents": True}
        subject = subjects.ask(str(span.attributes[n.TENANT]), "models", "prompt")
        try:
            answer = await self._bus.request(subject, wire.encode(wish), timeout_s=_PROMPT_S)
            prompt = wire.decode(answer.body, model.Prompt)
        except (NoAnswer, ValueError):
            return {}
        every = [one for part in prompt.parts for one in part.messages]
        system = [{"type": "text", "content": one.content} for one in every if one.role == "system"]
        told = {n.INPUT_MESSAGES: json([spoken(one) for one in every if one.role != "system"])}
        return told | ({n.INSTRUCTIONS: json(system)} if system else {})

    async def _answer(self, stream: str, span: Span) -> Attributes:
        result = await self._came(stream, span)
        if not isinstance(result, call.Completed):
            return _message(result)
        said = msgspec.convert(await self._output(result), model.Answer | model.Summary)
        parts: list[dict[str, Any]] = [{"type": "text", "content": said.text}] if said.text else []
        if isinstance(said, model.Answer):
            parts += [{"type": "tool_call", "name": ask.tool, "arguments": ask.arguments} for ask in said.asks]
            parts += [{"type": "text", "content": text(said.output)}] if said.finished else []
        asks = isinstance(said, model.Answer) and said.asks
        reason = "tool_call" if asks else "stop"
        return {n.OUTPUT_MESSAGES: json([{"role": "assistant", "parts": parts, "finish_reason": reason}])}

    async def _arguments(self, stream: str, span: Span) -> Attributes:
        name = span.attributes[n.CALL]
        for event in await self._events(stream, span.source):
            for asked in event.calls if isinstance(event, run.Called) else ():
                if asked.id == name:
                    said = {"ref": asked.arguments_ref} if asked.arguments_ref else asked.arguments
                    return {n.TOOL_ARGUMENTS: json(said)}
        return {}

    async def _result(self, stream: str, span: Span) -> Attributes:
        result = await self._came(stream, span)
        return (
            {n.TOOL_RESULT: json(await self._output(result))}
            if isinstance(result, call.Completed)
            else _message(result)
        )

    async def _came(self, stream: str, span: Span) -> call.Result | None:
        """Return the result of a call. None: what ended it was something else, such as a timer."""
        found = await reader.get(self._bus, stream, span.result) if span.result else None
        try:
            return wire.decode(found.body, call.Result) if found is not None else None
        except msgspec.ValidationError:
            return None

    async def _output(self, result: call.Completed) -> Any:
        if not result.output_ref:
            return result.output
        return msgspec.json.decode(await objects.get_blob(self._bus, result.output_ref))

    async def _goal(self, stream: str, span: Span) -> Attributes:
        for event in await self._events(stream, span.source):
            if isinstance(event, run.Accepted):
                given = [value for value in (event.goal.objective, event.goal.input) if value not in ("", None)]
                return {n.INPUT_MESSAGES: json([message("user", *given)])}
        return {}

    async def _ending(self, stream: str, span: Span) -> Attributes:
        for event in await self._events(stream, span.result):
            if isinstance(event, run.Ended) and event.status != "completed":
                return {"callboard.message": event.reason}
            if isinstance(event, run.Ended):
                output = {"ref": event.output_ref} if event.output_ref else event.output
                return {n.OUTPUT_MESSAGES: json([message("assistant", output) | {"finish_reason": "stop"}])}
        return {}

    async def _events(self, stream: str, seq: int) -> tuple[object, ...]:
        found = await reader.get(self._bus, stream, seq) if seq else None
        return wire.decode(found.body, Record).events if found is not None else ()


def _message(result: call.Result | None) -> Attributes:
    return (
        {"callboard.message": result.message} if result is not None and not isinstance(result, call.Completed) else {}
    )
