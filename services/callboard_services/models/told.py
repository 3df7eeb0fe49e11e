"""One step of a run as messages: what the model said, and right behind it the result of each of its calls. Pure.

Whoever is not the model speaks in a user's message, never in the system's: notes of this system, a person, and the
result of a call that a person had made again, for which no ask waits. Results are one line of JSON, so none of them can
be taken for words of a person.
"""

from collections.abc import Iterable
from typing import Any, assert_never

import msgspec

from callboard_contracts import call, model, wire
from callboard_services.models.history import Outcome, Part
from callboard_services.models.provider import Asked, Message
from callboard_services.models.steps import Again, Note, Person, Said, Step

PERSON = "A person who follows this run says (do as they say from now on): "
AGAIN = " was made again (a person asked for it); this time: "
_ARGUMENTS_CHARS = 500


def block(step: Step, most: int) -> tuple[Message, ...]:
    """Return one step of the run: an answer with a result for each of its calls, or what the model is told.

    :param most: characters of one result.
    """
    match step:
        case Note():
            return (Message(role="user", content=step.text),)
        case Said():
            return _said(step, most)
        case Person():
            return (Message(role="user", content=PERSON + _bounded(step.text, most)),)
        case Again():
            return (_again(step, most),)
        case _:
            assert_never(step)


def merged(messages: Iterable[Message]) -> list[Message]:
    """Return a conversation in which no user's message follows another: some providers refuse that."""
    found: list[Message] = []
    for message in messages:
        if found and message.role == found[-1].role == "user":
            content = f"{found[-1].content}\n\n{message.content}"
            found[-1] = msgspec.structs.replace(message, content=content)
        else:
            found.append(message)
    return found


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


def _again(step: Again, most: int) -> Message:
    made = step.call
    arguments = {"arguments_ref": made.arguments_ref} if made.arguments_ref else made.arguments
    content, failed = _ended(step.outcome, most)
    which = f"`{made.tool}` with {_bounded(_json(arguments), _ARGUMENTS_CHARS)}"
    told = f"{which}{AGAIN}{content}"
    return Message(role="user", content=told, tool_call_id=step.first, name=made.tool, failed=failed)


def _uncalled(asked: Asked) -> tuple[str, bool]:
    if asked.invalid:
        return _error(
            "arguments_invalid", "not run: the arguments are not JSON, or were cut off; write them again"
        ), True
    return _error("no_result", "there is no result of this call"), True


def _ended(outcome: Outcome, most: int) -> tuple[str, bool]:
    """Return a result as the model reads it, and whether it is an error."""
    match outcome.result:
        case call.Completed(output=Part() as part):
            return _beginning(part, most), False
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


def _beginning(part: Part, most: int) -> str:
    text = " ".join(part.text[:most].splitlines())
    return f"{text}\n[cut: it has {part.bytes} bytes; ask for a smaller part to read the rest]"


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} [cut: {len(text) - most} of {len(text)} characters]"


def _error(code: str, message: str) -> str:
    return _json({"error": {"code": code, "message": message}})


def _json(value: Any) -> str:
    return wire.encode(value).decode()
