"""What was wasted in a run: named, counted, and what it cost. Pure, from its steps alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from callboard.steps.step import Made, Step
from callboard_contracts import names, wire
from callboard_contracts.units import MicroUsd

Kind = Literal[
    "same_error", "same_call", "rejected_answers", "model_errors", "refused_calls", "late_results", "failed_cost"
]
_BRIEF = 80


class Waste(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was wasted."""

    kind: Kind
    sentence: str
    count: int
    """How many calls."""
    tool: str = ""
    code: str = ""
    calls: tuple[str, ...] = ()
    cost_micro_usd: MicroUsd = 0
    """What those calls cost; calls may stand under several kinds, so this is no sum."""


def waste(steps: Sequence[Step]) -> list[Waste]:
    """Return what was wasted, the costliest first."""
    made = [call for step in steps for call in step.calls]
    found = [
        *_same_error(made),
        *_same_call(made),
        *_rejected(steps),
        *_model_errors(steps),
        *_refused(made),
        *_late(made),
        *_failed(steps),
    ]
    return sorted(found, key=lambda one: (-one.cost_micro_usd, -one.count))


def _same_error(made: Sequence[Made]) -> Iterator[Waste]:
    groups: dict[tuple[str, str, str], list[Made]] = defaultdict(list)
    for call in made:
        if call.outcome in ("failed", "lost"):
            groups[call.tool, call.code, call.message].append(call)
    for (tool, code, message), calls in groups.items():
        if len(calls) > 1:
            said = ": ".join(part for part in (code, message[:_BRIEF]) if part)
            sentence = f"{tool} was tried {len(calls)}×, with the same error{f' ({said})' if said else ''}."
            yield _of("same_error", sentence, calls, tool=tool, code=code)


def _same_call(made: Sequence[Made]) -> Iterator[Waste]:
    """What completed and was asked for again with the same arguments, unless something was changed in between."""
    groups: dict[tuple[str, bytes, int], list[Made]] = defaultdict(list)
    changes = 0
    for call in made:
        changes += call.effect in ("write", "irreversible") and call.outcome == "completed"
        if call.outcome == "completed" and not call.again and call.tool != names.AGENT:
            what = call.arguments_ref.encode() or wire.encode(call.arguments)
            groups[call.tool, what, changes].append(call)
    for (tool, _, _), calls in groups.items():
        if len(calls) > 1:
            sentence = f"{tool} was called {len(calls)}× with the same arguments, and had answered the first time."
            yield _of("same_call", sentence, calls[1:], tool=tool)


def _rejected(steps: Sequence[Step]) -> Iterator[Waste]:
    rejected = [step for step in steps if step.rejected]
    if rejected:
        codes = ", ".join(sorted({step.rejected for step in rejected}))
        many = "1 answer of the model was" if len(rejected) == 1 else f"{len(rejected)} answers of the model were"
        calls = [step.asked for step in rejected]
        yield _of("rejected_answers", f"{many} not accepted ({codes}).", calls, tool=names.MODEL, code=codes)


def _model_errors(steps: Sequence[Step]) -> Iterator[Waste]:
    groups: dict[str, list[Made]] = defaultdict(list)
    for step in steps:
        if step.asked.outcome in ("failed", "lost"):
            groups[step.asked.code].append(step.asked)
    for code, calls in groups.items():
        many = "once" if len(calls) == 1 else f"{len(calls)}×"
        yield _of("model_errors", f"The model could not answer {many} ({code}).", calls, tool=names.MODEL, code=code)


def _refused(made: Sequence[Made]) -> Iterator[Waste]:
    groups: dict[tuple[str, str], list[Made]] = defaultdict(list)
    for call in made:
        if call.outcome == "refused":
            groups[call.tool, call.code].append(call)
    for (tool, code), calls in groups.items():
        if len(calls) > 1:
            sentence = f"{tool} was asked for {len(calls)}× and refused each time ({code})."
            yield _of("refused_calls", sentence, calls, tool=tool, code=code)


def _late(made: Sequence[Made]) -> Iterator[Waste]:
    calls = [call for call in made if call.late]
    if calls:
        many = "1 result" if len(calls) == 1 else f"{len(calls)} results"
        yield _of("late_results", f"{many} came too late to be read.", calls)


def _failed(steps: Sequence[Step]) -> Iterator[Waste]:
    every = [made for step in steps for made in (step.asked, *step.calls)]
    calls = [made for made in every if made.outcome in ("failed", "lost") and made.cost_micro_usd]
    if calls:
        yield _of("failed_cost", f"{len(calls)} calls cost money and brought nothing.", calls)


def _of(kind: Kind, sentence: str, calls: Sequence[Made], *, tool: str = "", code: str = "") -> Waste:
    return Waste(
        kind=kind,
        sentence=sentence,
        count=len(calls),
        tool=tool,
        code=code,
        calls=tuple(call.call for call in calls),
        cost_micro_usd=sum(call.cost_micro_usd for call in calls),
    )
