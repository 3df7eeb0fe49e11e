"""One step of a run as messages: what the model said, and right behind it the result of each of its calls. Pure."""

from typing import Any, assert_never

from callboard_contracts import call, model, wire
from callboard_services.models.history import Note, Outcome, Said, Step
from callboard_services.models.provider import Asked, Message


def block(step: Step, most: int) -> tuple[Message, ...]:
    """Return one step of the run: an answer with a result for each of its calls, or a note.

    :param most: characters of one result.
    """
    match step:
        case Note():
            return (Message(role="user", content=step.text),)
        case Said():
            return _said(step, most)
        case _:
            assert_never(step)


def _said(said: Said, most: int) -> tuple[Message, ...]:
    calls = said.calls or ("",) * len(said.answer.asks)
    outcomes = said.outcomes or (None,) * len(calls)
    asked = tuple(_asked(ask, id_, at) for at, (ask, id_) in enumerate(zip(said.answer.asks, calls, strict=True)))
    first = Message(role="assistant", content=_spoken(said.answer), asks=asked)
    return (first, *(_told(ask, out, most) for ask, out in zip(asked, outcomes, strict=True)))


def _spoken(answer: model.Answer) -> str:
    """Return what the assistant said: an output that was not accepted stands alone, so that it can be read as JSON."""
    if answer.output_ref:
        return f"[the output is kept as {answer.output_ref}]"
    if answer.finished:
        return answer.output if isinstance(answer.output, str) else _json(answer.output)
    if answer.give_up:
        return f"I give up: {answer.give_up}"
    return answer.text


def _asked(ask: model.Ask, id_: str, at: int) -> Asked:
    arguments = {"arguments_ref": ask.arguments_ref} if ask.arguments_ref else ask.arguments
    return Asked(id=id_ or f"uncalled-{at}", tool=ask.tool, arguments=arguments, invalid=ask.invalid)


def _told(asked: Asked, outcome: Outcome | None, most: int) -> Message:
    content, failed = _uncalled(asked) if outcome is None or asked.invalid else _ended(outcome, most)
    return Message(role="tool", content=content, tool_call_id=asked.id, name=asked.tool, failed=failed)


def _uncalled(asked: Asked) -> tuple[str, bool]:
    if asked.invalid:
        return _error(
            "arguments_invalid", "not run: the arguments are not JSON, or were cut off; write them again"
        ), True
    return _error("no_result", "there is no result of this call"), True


def _ended(outcome: Outcome, most: int) -> tuple[str, bool]:
    """Return a result as the model reads it, and whether it is an error."""
    match outcome.result:
        case call.Completed(output=None, output_ref=ref) if ref:
            return _error("output_too_large", f"the output is kept as {ref} and was not read back"), True
        case call.Completed(output=output):
            return cut(_json(output), most), False
        case call.Failed(code=code, message=message) | call.Refused(code=code, message=message):
            return cut(_error(code, message), most), True
        case call.Lost(message=message):
            return cut(_error("outcome_unknown", f"it may or may not have taken effect: {message}"), most), True
        case None:
            taken = outcome.taken
            return cut(_error(taken.code or taken.status, taken.message or "its result is gone"), most), True
        case _:
            assert_never(outcome.result)


def cut(text: str, most: int) -> str:
    """Return a text of at most `most` characters and a note that says how much is missing and how to read it."""
    if len(text) <= most:
        return text
    return (
        f"{text[:most]}\n[cut: {len(text) - most} of {len(text)} characters; ask for a smaller part to read the rest]"
    )


def _error(code: str, message: str) -> str:
    return _json({"error": {"code": code, "message": message}})


def _json(value: Any) -> str:
    return wire.encode(value).decode()
