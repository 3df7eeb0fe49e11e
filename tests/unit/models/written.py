"""A run written straight into a real journal: by the runtime's own code, as a planner's would be."""

import asyncio
from typing import Any

import msgspec

from callboard.bus import Bus, Delivery, layout
from callboard.runtime.journal import Held, Journal, folded
from callboard_contracts import call, goal, ids, model, names, run, subjects, wire
from callboard_contracts.journal import Event, Record
from callboard_services.models import history
from callboard_services.planner.actor import Planner
from callboard_services.planner.state import State
from tests.unit.models import kit

GROUPS = 2
LOOK = model.Answer(asks=(kit.ask(path="a"),))


class Written:
    """One run. Every method appends what a planner would have recorded."""

    def __init__(self, bus: Bus, tenant: str, run_id: str) -> None:
        self.address = subjects.Address.of_run(tenant, run_id)
        self.asked: list[int] = []
        """The sequence of each record that asked for a model call."""
        self.turns: dict[int, goal.Retry] = {}
        """Where each turn was answered, as a goal that takes the run up says it."""
        self._bus = bus
        self._planner = Planner()
        self._journal: Journal[State] = Journal(bus, GROUPS, self._planner)
        self._held: Held[State] = Held(self._planner.initial())

    async def begin(self, *, retry: goal.Retry | None = None, grounded: bool = False) -> "Written":
        """Accept the goal and ask the model."""
        first = kit.accepted(grounded=grounded)
        wanted = msgspec.structs.replace(first.goal, id=self.address.run, retry=retry)
        await self._append(msgspec.structs.replace(first, goal=wanted), self.question())
        return self

    async def answer(self, answer: model.Answer, *more: run.Event) -> None:
        """The model answers; its calls are proposed."""
        output = msgspec.to_builtins(answer)
        took = await self._took(call.Completed(call=self._open[0], output=output), names.MODEL)
        made = [call.Call(id=self._id(at), tool=ask.tool) for at, ask in enumerate(answer.asks)]
        called = (run.Called(turn=self._turn + 1, at_ms=1, calls=tuple(made)),) if made else ()
        await self._append(took, *more, *called)

    async def at_once(self, answer: model.Answer, output: Any) -> None:
        """The model answers and its one call does too, before either is recorded: one record takes both."""
        said = call.Completed(call=self._open[0], output=msgspec.to_builtins(answer))
        made = call.Call(id=self._id(0), tool=answer.asks[0].tool)
        called = run.Called(turn=self._turn + 1, at_ms=1, calls=(made,))
        done = await self._took(call.Completed(call=made.id, output=output), made.tool)
        await self._append(await self._took(said, names.MODEL), called, done)

    async def result(self, output: Any = None, *, ref: str = "", seq: int = 0) -> None:
        """The one tool call answers, and the model is asked again."""
        done = call.Completed(call=self._open[0], output=output, output_ref=ref)
        took = await self._took(done, "files.read", seq)
        await self._append(took, self.question())

    async def rounds(self, count: int, size: int = 0) -> None:
        """The model asks for a tool, which answers, so many times."""
        for at in range(count):
            await self.answer(LOOK)
            await self.result(f"{at}" + "x" * size)

    async def sum_up(self, through: int, answers: int, of: str = "") -> int:
        """The model asks for a tool, which answers; then all up to a record is summed up. Returns that result."""
        await self.answer(LOOK)
        done = await self._took(call.Completed(call=self._open[0], output="z"), "files.read")
        wanted = call.Call(id=self._id(0), tool=names.MODEL, arguments={"summarise": True})
        await self._append(done, run.Called(turn=self._turn + 1, at_ms=1, calls=(wanted,)))
        made = model.Summary(text="notes", through=through, answers=answers, of=of)
        result = call.Completed(call=wanted.id, output=msgspec.to_builtins(made))
        (taken,) = (await self._took(result, names.MODEL)).results
        taken = msgspec.structs.replace(taken, context_tokens=500)
        await self._append(run.Took(results=(taken,)), self.question())
        return taken.seq

    async def note(self, *events: run.Event) -> None:
        """Record anything else."""
        await self._append(*events)

    def question(self) -> run.Called:
        """Ask the model."""
        asked = call.Call(id=self._id(0), tool=names.MODEL)
        return run.Called(turn=self._turn + 1, at_ms=1, calls=(asked,))

    @property
    def _turn(self) -> int:
        return self._held.state.turn

    @property
    def _open(self) -> list[str]:
        return list(self._held.state.open)

    def _id(self, index: int) -> str:
        return ids.call_id(self.address.run, self._turn + 1, index)

    async def _took(self, result: call.Completed, tool: str, seq: int = 0) -> run.Took:
        if not seq:
            subject, headers = self.address.at("in", "result"), {wire.ID: result.call}
            seq = (await self._bus.publish(str(subject), wire.encode(result), headers)).seq
        return run.Took(results=(run.Taken(call=result.call, tool=tool, status="completed", seq=seq),))

    async def _append(self, *events: Event) -> None:
        before, turn = self._held, self._held.state.turn
        after = folded(self._planner, before.state, events)
        record = Record(causes=("c",), events=events)
        written = self._journal.write(self.address, before, after, record)
        ack = await self._bus.publish(written.subject, written.body, written.headers)
        self._held = written.stored(ack.seq)
        if isinstance(events[0], run.Took):
            self.turns[turn] = goal.Retry(of=self.address.run, turn=turn, seq=self._held.seq)
        asks = [one for one in events if isinstance(one, run.Called) and run.asks_model(one)]
        if any(not any(map(run.summarises, one.calls)) for one in asks):
            self.asked.append(self._held.seq)


class Gets:
    """How many messages were asked for by direct get, as the broker's other clients see it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.count = 0

    async def start(self) -> "Gets":
        """Count from now on."""
        await self._bus.subscribe("$JS.API.DIRECT.GET.>", self._on_get)
        return self

    async def since(self) -> int:
        """Return how many there were since it was last asked."""
        await asyncio.sleep(0)
        await self._bus.flush()
        found, self.count = self.count, 0
        return found

    def _on_get(self, _: Delivery) -> None:
        self.count += 1


def shown(entries: tuple[history.Entry, ...]) -> list[Any]:
    """Return the outputs of tools in a transcript."""
    found = (outcome for outcome in history.outcomes(entries) if outcome.taken.tool != names.MODEL)
    return [one.result.output for one in found if isinstance(one.result, call.Completed)]


async def provisioned(bus: Bus) -> None:
    """Make the streams that these tests write into."""
    assert await layout.provision(bus, GROUPS) == GROUPS
