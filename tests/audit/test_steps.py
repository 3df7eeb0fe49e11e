"""A step tells what was decided, from what, what the guard said and whether it may be retried; waste is named."""

from typing import Any

import pytest

from callboard.audit import tree
from callboard.steps.fold import steps
from callboard.steps.step import Step
from callboard.steps.waste import waste
from callboard.testing.records import Play, taken_of
from callboard_contracts import call, goal, guard, ids, model, names, run
from tests.audit.kit import RUN, Memory

EFFECTS = {"files.read": "read", "web.get": "read", "files.write": "write", "pay.send": "irreversible", "calc": "pure"}
OFFERED = ("files.read", "files.write")


class Told(Play):
    """Writes a run step by step: what the model says, what it calls, and what comes back."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.memory = memory
        self._turn = 0

    async def ask(self, answer: model.Answer | str, *, cost: int = 10, **request: Any) -> str:
        """Ask the model."""
        self._turn += 1
        made = call.Call(
            id=ids.call_id(RUN, self._turn, 0),
            tool=names.MODEL,
            arguments={"model": "m", "tools": OFFERED} | request,
        )
        return await self._made(made, answer, cost)

    async def use(self, tool: str, outcome: Any, *, arguments: Any = None, cost: int = 0, again: str = "") -> str:
        """Call a tool; the outcome is an output, or what becomes a result."""
        self._turn += 1
        made = call.Call(id=ids.call_id(RUN, self._turn, 0), tool=tool, arguments=arguments, again=again)
        return await self._made(made, outcome, cost)

    async def _made(self, made: call.Call, outcome: Any, cost: int) -> str:
        source = await self.record("run", RUN, run.Called(turn=self._turn, at_ms=1, calls=(made,)))
        result = came(made.id, outcome, cost)
        if isinstance(result, call.Refused):
            refused = guard.Refused(call=made.id, tool=made.tool, code=result.code, message=result.message)
            await self.record("tree", RUN, refused)
        else:
            await self.record("tree", RUN, guard.Granted(call=made, source=source, expires_ms=9, reserved_micro_usd=50))
        taken = taken_of(result, made.tool, await self.result(result))
        await self.record("run", RUN, run.Took(results=(taken,)))
        if not isinstance(result, call.Refused):
            await self.record("tree", RUN, guard.Settled(entries=((made.id, cost, 0),)))
        return made.id

    def steps(self) -> list[Step]:
        """Return the steps."""
        return steps(tree.read(self.memory.messages), RUN, EFFECTS)


def came(made: str, outcome: Any, cost: int) -> call.Result:
    usage = call.Usage(cost_micro_usd=cost, input_tokens=100, output_tokens=7, duration_ms=3)
    match outcome:
        case "refused":
            return call.Refused(call=made, code="tool_not_allowed", message="it is not among the run's tools")
        case "lost":
            return call.Lost(call=made, message="the executor died", usage=usage)
        case str() if outcome.startswith("fails:"):
            return call.Failed(call=made, code="tool_failed", message=outcome[6:], usage=usage)
        case model.Answer():
            return call.Completed(call=made, output=outcome, usage=usage)
        case _:
            return call.Completed(call=made, output=outcome, usage=usage)


@pytest.fixture
async def told() -> Told:
    play = Told(Memory())
    await play.accept(RUN, submit=goal.Submit(id=RUN, objective="Do it.", limits=goal.Limits(max_calls=30)))
    return play


def thinks(tool: str, text: str = "") -> model.Answer:
    return model.Answer(text=text, asks=(model.Ask(tool=tool),))


async def test_a_step_tells_what_was_said_offered_granted_and_spent(told: Told) -> None:
    await told.ask(thinks("files.read", "I look."))
    await told.use("files.read", {"text": "7"}, arguments={"path": "a"}, cost=3)
    await told.ask(model.Answer(finished=True, output=7))
    first, second = told.steps()
    assert (first.step, first.steps, first.text, first.decided) == (1, 2, "I look.", "calls")
    assert first.offered == OFFERED
    assert (second.step, second.decided, second.asked.output["output"]) == (2, "finish", 7)
    made = first.calls[0]
    assert (made.tool, made.arguments, made.output, made.outcome) == (
        "files.read",
        {"path": "a"},
        {"text": "7"},
        "completed",
    )
    assert (first.cost_micro_usd, made.cost_micro_usd, second.cost_micro_usd) == (13, 3, 10)
    assert (made.guard.decision, made.guard.reserved_micro_usd, made.guard.committed_micro_usd) == ("granted", 50, 10)
    assert (made.guard.calls, made.guard.max_calls) == (1, 30)


async def test_what_sums_up_and_what_never_reached_the_model_is_no_step(told: Told) -> None:
    await told.ask(thinks("files.read"))
    await told.ask(model.Answer(text="so far"), summarise=True)
    await told.ask("refused")
    await told.ask(model.Answer(finished=True, output=1))
    assert [step.step for step in told.steps()] == [1, 2]
    assert told.steps()[1].decided == "finish"


@pytest.mark.parametrize(
    ("tool", "outcome", "safe", "word"),
    [
        ("calc", "fails:no", True, "pure"),
        ("files.read", {"text": ""}, True, "read"),
        ("files.read", "lost", True, "read"),
        ("files.write", {"ok": True}, False, "second change"),
        ("files.write", "fails:disk", True, "without an effect"),
        ("files.write", "lost", False, "idempotency key"),
        ("pay.send", {"paid": 1}, False, "for ever"),
        ("pay.send", "lost", False, "look first"),
        ("pay.send", "refused", True, "Nothing ran"),
        ("unheard.of", {"x": 1}, False, "not known"),
    ],
)
async def test_whether_a_call_may_be_retried_follows_from_its_effect_and_its_outcome(
    told: Told, tool: str, outcome: Any, safe: bool, word: str
) -> None:
    await told.ask(thinks(tool))
    await told.use(tool, outcome)
    found = told.steps()[0].calls[0].retry
    assert found.safe is safe
    assert word in found.sentence


async def test_a_tool_that_failed_again_and_again_in_the_same_way_is_named(told: Told) -> None:
    await told.ask(thinks("web.get"))
    made = [await told.use("web.get", "fails:status 503", arguments={"n": n}, cost=2) for n in range(4)]
    await told.use("web.get", "fails:another error")
    found = {one.kind: one for one in waste(told.steps())}
    assert found["same_error"].sentence == "web.get was tried 4×, with the same error (tool_failed: status 503)."
    assert (found["same_error"].calls, found["same_error"].cost_micro_usd) == (tuple(made), 8)
    assert found["failed_cost"].cost_micro_usd == 8


async def test_the_same_call_again_is_named_unless_something_changed_in_between(told: Told) -> None:
    await told.ask(thinks("files.read"))
    await told.use("files.read", {"text": "7"}, arguments={"path": "a"})
    again = await told.use("files.read", {"text": "7"}, arguments={"path": "a"})
    await told.use("files.read", {"text": "8"}, arguments={"path": "b"})
    found = waste(told.steps())
    assert [(one.kind, one.calls) for one in found] == [("same_call", (again,))]
    await told.use("files.write", {"ok": True})
    await told.use("files.read", {"text": "9"}, arguments={"path": "a"})
    assert waste(told.steps()) == found


async def test_answers_that_were_not_accepted_are_named_with_what_they_cost(told: Told) -> None:
    for _ in range(2):
        await told.ask(model.Answer(finished=True, output="x"), cost=11)
        await told.record(
            "run", RUN, run.Noted(text="Your answer was not accepted: it is no number.", code="contract_unmet")
        )
    await told.ask(model.Answer(finished=True, output="x"), cost=11)
    await told.record("run", RUN, run.Ended(status="failed", code="contract_unmet", reason="it is no number"))
    found = waste(told.steps())
    assert [(one.kind, one.count, one.cost_micro_usd, one.code) for one in found] == [
        ("rejected_answers", 3, 33, "contract_unmet")
    ]
    assert told.steps()[0].rejected == "contract_unmet"


async def test_a_model_that_could_not_answer_and_a_tool_that_was_refused_are_named(told: Told) -> None:
    await told.ask("fails:overloaded", cost=0)
    await told.ask(thinks("pay.send"))
    await told.use("pay.send", "refused")
    await told.use("pay.send", "refused")
    kinds = {one.kind: one.sentence for one in waste(told.steps())}
    assert kinds["model_errors"] == "The model could not answer once (tool_failed)."
    assert kinds["refused_calls"] == "pay.send was asked for 2× and refused each time (tool_not_allowed)."


async def test_a_run_that_wasted_nothing_is_told_nothing(told: Told) -> None:
    await told.ask(thinks("files.read"))
    await told.use("files.read", {"text": "7"})
    await told.use("files.read", "fails:once")
    await told.ask(model.Answer(finished=True, output=7))
    assert waste(told.steps()) == []


async def test_a_call_that_a_person_had_made_again_counts_its_attempts(told: Told) -> None:
    await told.ask(thinks("web.get"))
    first = await told.use("web.get", "fails:down", arguments={"u": 1})
    await told.use("web.get", {"text": "up"}, arguments={"u": 1}, again=first)
    made = told.steps()[0].calls
    assert [(one.attempts, one.outcome) for one in made] == [(2, "failed"), (2, "completed")]
