"""The steps of a run as parts of a prompt: sent in full, cut, elided to a line, or left out. Pure."""

from collections.abc import Iterator, Sequence
from typing import assert_never

import msgspec

from callboard_contracts import run, wire
from callboard_contracts.window import Kind, Part, Spoken, State
from callboard_services.models import deeds, history, tokens
from callboard_services.models.history import Entry
from callboard_services.models.prompt import Plan
from callboard_services.models.provider import Message
from callboard_services.models.steps import Again, Note, Person, Said, Step
from callboard_services.models.window import Block

_TITLE_CHARS = 80
_CUT = "to read the rest]"


def of(entries: Sequence[Entry], plan: Plan) -> Iterator[Part]:
    """Yield a part for each step, oldest first; those that are left out are one part."""
    gone, fitted = plan.fitted.gone, plan.fitted
    left = [_step(step, block, "dropped", entries) for step, block in zip(plan.steps, plan.blocks, strict=True)][:gone]
    if unread := fitted.left_out - gone:
        yield Part(kind="gap", state="dropped", title="older steps, which were not read", steps=unread)
    if left:
        yield _dropped(left)
    if fitted.note:
        yield _sent(Part(kind="gap", title="stands for what was dropped"), fitted.note)
    for step, was, sent in zip(plan.steps[gone:], plan.blocks[gone:], fitted.blocks, strict=True):
        yield _sent(_step(step, was, _state(was, sent), entries), sent)


def _sent(part: Part, block: Block) -> Part:
    """Return a part as it is sent."""
    said = tuple(map(spoken, block))
    return msgspec.structs.replace(part, tokens=tokens.of_messages(block), bytes=size(block), messages=said)


def _dropped(left: Sequence[Part]) -> Part:
    """Return all steps that are left out as one part: there may be thousands."""
    return Part(
        kind="step",
        state="dropped",
        title=f"{left[0].title} … {left[-1].title}" if len(left) > 1 else left[0].title,
        tokens=sum(part.tokens for part in left),
        bytes=sum(part.bytes for part in left),
        steps=sum(part.steps for part in left),
        sources=(*left[0].sources[:1], *left[-1].sources[-1:]),
    )


def _step(step: Step, block: Block, state: State, entries: Sequence[Entry]) -> Part:
    kind, sources = _origin(step, entries)
    return Part(
        kind=kind,
        state=state,
        title=_title(step),
        tokens=tokens.of_messages(block),
        bytes=size(block),
        steps=int(isinstance(step, Said)),
        sources=sources,
    )


def _origin(step: Step, entries: Sequence[Entry]) -> tuple[Kind, tuple[int, ...]]:
    """Return what kind of part a step is, and the sequences that it was made from."""
    record = entries[step.at].seq
    match step:
        case Said():
            return "step", _sources(step, entries)
        case Note():
            return "note", (record,)
        case Person():
            return "said", (record,)
        case Again(outcome=outcome):
            return "again", (record, outcome.taken.seq)
        case _:
            assert_never(step)


def _sources(said: Said, entries: Sequence[Entry]) -> tuple[int, ...]:
    entry = entries[said.at]
    took = (one for event in entry.events if isinstance(event, run.Took) for one in event.results)
    answers = [one.seq for one in took if history.is_answer(one)]
    results = [outcome.taken.seq for outcome in said.outcomes if outcome is not None]
    return (entry.seq, *answers, *results)


def _title(step: Step) -> str:
    match step:
        case Said(answer=answer):
            asked = ", ".join(f"{one.tool} {deeds.brief(one.arguments_ref or one.arguments)}" for one in answer.asks)
            return line(asked or ("an output" if answer.finished else answer.give_up or answer.text))
        case Again(call=made):
            return f"{made.tool}, made again"
        case Note(text=text) | Person(text=text):
            return line(text)
        case _:
            assert_never(step)


def _state(was: Block, sent: Block) -> State:
    if was != sent:
        return "elided"
    return "cut" if any(one.role == "tool" and one.content.endswith(_CUT) for one in sent) else "kept"


def line(text: str) -> str:
    """Return a text in one short line."""
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARS else f"{line[: _TITLE_CHARS - 1]}…"


def size(block: Block) -> int:
    """Return the bytes of what some messages say."""
    asked = sum(len(wire.encode(ask.arguments)) + len(ask.tool) for message in block for ask in message.asks)
    return asked + sum(len(message.content.encode()) for message in block)


def spoken(message: Message) -> Spoken:
    """Return a message as it is told to people."""
    calls = tuple({"id": one.id, "tool": one.tool, "arguments": one.invalid or one.arguments} for one in message.asks)
    of_tool = message.role == "tool"
    return Spoken(
        role=message.role,
        content=message.content,
        calls=calls,
        call=message.tool_call_id if of_tool else "",
        tool=message.name if of_tool else "",
    )
