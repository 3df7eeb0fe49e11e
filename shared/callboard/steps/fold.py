"""The steps of a run from the records of its tree. Pure.

A step begins with a question to the model and ends before the next one. What is no step: a question that was to sum up
older steps, and one that was refused and never reached the model. `runs show` numbers steps the same way.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from callboard.audit.tree import Logged, Tree
from callboard.steps.guarding import Guarding
from callboard.steps.retry import retry
from callboard.steps.step import Made, Step
from callboard_contracts import call, model, names, run
from callboard_contracts.call import Call

_UNMET: Final = ("contract_unmet", "ungrounded")
_CIRCLES: Final = "loop_detected"
"""A note that is no word on the answer before it."""


def steps(tree: Tree, name: str, effects: Mapping[str, str]) -> list[Step]:
    """Return the steps of a run, in order.

    :param effects: the effect class of each tool that is known.
    """
    fold = _Fold(tree, name, effects)
    for logged in tree.records:
        if logged.run == name and ".run." in logged.actor:
            for event in logged.record.events:
                fold.take(logged, event)
    return fold.done()


class _Fold:
    """The steps so far."""

    def __init__(self, tree: Tree, name: str, effects: Mapping[str, str]) -> None:
        self._tree = tree
        self._name = name
        self._effects = effects
        self._guarding = Guarding(tree)
        self._found: list[Step] = []
        self._made: dict[str, Made] = {}

    def take(self, logged: Logged, event: object) -> None:
        """Take the next event of the run."""
        match event:
            case run.Called():
                for one in event.calls:
                    self._called(logged, one)
            case run.Took():
                for taken in event.results:
                    self._took(logged, taken)
            case run.Noted():
                self._note(event.text, event.code)
            case run.Steered():
                self._note(f"{event.principal or 'somebody'} said: {event.text}")
            case run.Deferred():
                self._note(f"asked again later, after {event.code or 'a failure'}: {event.message}")
            case run.Ended() if event.code in _UNMET and self._found:
                self._found[-1].rejected = event.code
            case _:
                return

    def _called(self, logged: Logged, asked: Call) -> None:
        made = self._make(asked)
        if asked.tool != names.MODEL:
            if self._found:
                self._found[-1].calls = (*self._found[-1].calls, made)
            return
        request = _request(asked)
        if run.summarises(asked):
            return
        at_ms = logged.message.time_ms
        step = Step(run=self._name, step=0, asked=made, asked_seq=logged.seq, asked_ms=at_ms, model=request.model)
        step.offered = request.tools
        self._found.append(step)

    def _make(self, asked: Call) -> Made:
        made = Made(
            call=asked.id,
            tool=asked.tool,
            arguments=asked.arguments,
            arguments_ref=asked.arguments_ref,
            effect=self._effects.get(asked.tool, ""),
            guard=self._guarding.decision(asked.id),
            again=asked.again,
        )
        granted = self._guarding.granted.get(asked.id)
        if granted is not None:
            made.arguments, made.arguments_ref = granted.arguments, granted.arguments_ref
        first = self._made.get(asked.again)
        if first is not None:
            first.attempts += 1
            made.attempts = first.attempts
        self._made[asked.id] = made
        return made

    def _took(self, logged: Logged, taken: run.Taken) -> None:
        made = self._made.get(taken.call)
        if made is None:
            return
        made.outcome, made.code, made.message, made.late = taken.status, taken.code, taken.message, taken.late
        made.duration_ms, made.cost_micro_usd = taken.duration_ms, taken.cost_micro_usd
        made.unpriced, made.result_seq = taken.unpriced, taken.seq
        result = self._tree.result_of(taken.seq, taken.call)
        if isinstance(result, call.Completed):
            made.output, made.output_ref = result.output, result.output_ref
        step = next((step for step in reversed(self._found) if taken.call in _calls(step)), None)
        if step is None:
            return
        if not taken.late:
            step.duration_ms = max(0, logged.message.time_ms - step.asked_ms)
        if taken.call == step.asked.call:
            _answered(step, made, taken)

    def _note(self, text: str, code: str = "") -> None:
        if self._found:
            self._found[-1].notes = (*self._found[-1].notes, text)
            self._found[-1].rejected = code if code not in ("", _CIRCLES) else self._found[-1].rejected

    def done(self) -> list[Step]:
        """Return the steps, numbered."""
        found = [step for step in self._found if step.asked.outcome != "refused"]
        for number, step in enumerate(found, 1):
            step.step, step.steps = number, len(found)
            for made in (step.asked, *step.calls):
                made.cost_micro_usd = self._guarding.costs.get(made.call, made.cost_micro_usd)
                made.retry = retry(made)
            step.cost_micro_usd = sum(made.cost_micro_usd for made in (step.asked, *step.calls))
        return found


def _calls(step: Step) -> Iterator[str]:
    yield step.asked.call
    yield from (made.call for made in step.calls)


def _request(asked: Call) -> model.Request:
    try:
        return msgspec.convert(asked.arguments, model.Request)
    except msgspec.ValidationError:
        return model.Request(model="")


def _answered(step: Step, made: Made, taken: run.Taken) -> None:
    step.input_tokens, step.output_tokens = taken.input_tokens, taken.output_tokens
    step.model = taken.model or step.model
    try:
        answer = msgspec.convert(made.output, model.Answer)
    except msgspec.ValidationError:
        return
    step.text = answer.text
    step.decided = "give_up" if answer.give_up else "finish" if answer.finished else "calls"
