"""A prompt taken apart: what each part is, how much of the window it takes, and where it comes from. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from callboard_contracts import run, wire
from callboard_contracts.window import Kind, Part
from callboard_services.models import history, notes, prompt, shape, step_parts, tokens
from callboard_services.models.history import Standing
from callboard_services.models.job import Job, Request
from callboard_services.models.provider import Message
from callboard_services.models.step_parts import line, size, spoken


def of(job: Job, request: Request) -> tuple[Part, ...]:
    """Return the parts of a prompt in the order in which they are sent, with contents."""
    if request.plan is None:
        return tuple(_plain(request))
    accepted = history.accepted(job.history)
    return (*_head(job, request.plan.head), *step_parts.of(job.history, request.plan), _tools(job, accepted))


def without_contents(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts without what was sent."""
    return tuple(msgspec.structs.replace(part, messages=()) for part in parts)


def within(parts: Sequence[Part], most_bytes: int) -> tuple[Part, ...]:
    """Return the parts with the contents of as many of the first ones as fit."""
    kept: list[Part] = []
    for part in parts:
        most_bytes -= len(wire.encode(part.messages))
        kept.append(part if most_bytes >= 0 else msgspec.structs.replace(part, messages=()))
    return tuple(kept)


def _plain(request: Request) -> Iterator[Part]:
    system, user = request.prompt.messages
    yield _part("rules", "how to sum up", system)
    yield _part("step", "the steps to sum up, and the notes so far", user)


def _head(job: Job, head: Sequence[Message]) -> Iterator[Part]:
    accepted, standing = history.accepted(job.history), job.history[0].standing
    for kind, text in prompt.sections(accepted, job.skill):
        yield _part(kind, text, Message(role="system", content=text))
    yield _part("goal", head[1].content, head[1])
    rest = list(head[2:])
    if accepted.goal.preferences:
        yield _part("preferences", "what the user prefers", rest.pop(0))
    if standing is not None:
        yield from _standing(standing, rest)


def _standing(standing: Standing, sent: Sequence[Message]) -> Iterator[Part]:
    summary = standing.summary
    yield Part(
        kind="gap",
        state="summarised",
        title=f"what stands for it follows; through record {summary.through}",
        steps=summary.answers,
        sources=(summary.through,),
    )
    did, text, *said = sent
    yield _part("did", f"{sum(one.count for one in summary.did)} calls, from the records", did, standing.seq)
    yield _part("summary", summary.text, text, standing.seq)
    for words, message in zip(summary.said, said, strict=True):
        yield _part("said", words, message, standing.seq)


def _tools(job: Job, accepted: run.Accepted) -> Part:
    named = ", ".join([*(spec.name for spec in job.offered), *shape.CONTROL])
    stored = len(wire.encode(shape.functions(job.offered, accepted.contract)))
    estimate = tokens.of_offer(job.offered, accepted.contract)
    return Part(kind="tools", title=line(named), tokens=estimate, bytes=stored)


def _part(kind: Kind, title: str, message: Message, *sources: int) -> Part:
    return Part(
        kind=kind,
        title=line(title),
        tokens=tokens.of_message(message),
        bytes=size((message,)),
        sources=sources,
        messages=(spoken(message),),
        state="cut" if message.content.endswith(notes.CUT) else "kept",
    )
