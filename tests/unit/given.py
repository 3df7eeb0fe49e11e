"""Builders for given–when–then: a goal, a registry, and a run or tree that has taken some turns."""

from collections.abc import Mapping
from typing import Any

import msgspec

from callboard.actor import Decision, Input
from callboard_contracts import guard, model, names, run, subjects
from callboard_contracts.call import Completed, Result, Usage
from callboard_contracts.goal import Limits, Submit
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from callboard_contracts.tool import Entry, Model, Spec
from callboard_services.guard.actor import Guard
from callboard_services.guard.state import State as Tree
from callboard_services.planner.accept import Start
from callboard_services.planner.actor import Planner
from callboard_services.planner.agent import AGENT
from callboard_services.planner.state import State as Run

RUN = "01M7Z50RGFFACP487FMVDYW9BK"
NOW = 1_790_000_000_000
ADDRESS = subjects.Address.of_run("acme", RUN)
ECHO_SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


def facts(*, price: int = 1_000_000) -> Facts:
    """Return a registry with one priced model, `echo`, `note` and sub-agents."""
    priced = Model(name="m", input_micro_usd=price, output_micro_usd=price)
    specs = [
        Spec(name=names.MODEL, description="a model", input_schema={}, hidden=True, models=(priced,), timeout_s=60),
        Spec(name="echo", description="Echo.", input_schema=ECHO_SCHEMA, price_micro_usd=10),
        Spec(name="note", description="Note.", input_schema={"type": "object"}),
        AGENT,
    ]
    return Facts(revision=1, tools={spec.name: Entry(spec=spec, instances=1) for spec in specs})


def goal(**changes: Any) -> Submit:
    """Return a goal."""
    return msgspec.structs.replace(Submit(id=RUN, objective="say hello"), **changes)


def message(
    body: Any,
    *,
    cause: str = "x",
    seq: int = 1,
    now: int = NOW,
    name: str = RUN,
    records: Mapping[int, Record] | None = None,
) -> Input:
    """Return an input to a run."""
    return Input(cause, subjects.Address.of_run("acme", name), body, seq, now, records=records or {})


class RunOf:
    """A run and the events it recorded. `take` decides and folds, as the runtime does."""

    def __init__(self, submit: Submit | None = None, *, known: Facts | None = None, parent: str = "") -> None:
        self.facts = known or facts()
        self.actor = Planner()
        self.state: Run = self.actor.initial()
        self.events: list[Event] = []
        submit = submit or goal()
        self.started = self.take(Start(goal=submit, digest="d", parent=parent))

    def take(
        self, body: Any, now: int = NOW, *, cause: str = "x", records: Mapping[int, Record] | None = None
    ) -> Decision:
        """Decide one message and fold what it caused."""
        decision = self.actor.decide(self.state, message(body, now=now, cause=cause, records=records), self.facts)
        if isinstance(decision, tuple):
            for event in decision:
                self.state = self.actor.evolve(self.state, event)
            self.events += decision
        return decision

    def answer(self, answer: model.Answer, now: int = NOW) -> Decision:
        """Let the open model call complete."""
        call = next(name for name, kept in self.state.open.items() if kept.tool == names.MODEL)
        usage = Usage(cost_micro_usd=7, input_tokens=100, output_tokens=10)
        return self.take(Completed(call=call, output=msgspec.to_builtins(answer), usage=usage), now)

    def ask(self, *tools: str) -> None:
        """Let the model ask for tools."""
        self.answer(model.Answer(asks=tuple(model.Ask(tool=tool, arguments={"text": "hi"}) for tool in tools)))

    @property
    def open(self) -> list[str]:
        """The calls that have not answered."""
        return list(self.state.open)

    @property
    def ended(self) -> run.Ended:
        """The run's ending."""
        return next(event for event in self.events if isinstance(event, run.Ended))

    def last(self, type_: type[Event]) -> Any:
        """Return the latest event of a type."""
        return next(event for event in reversed(self.events) if isinstance(event, type_))


class TreeOf:
    """A tree and its runs' records as the guard reads them."""

    def __init__(
        self, limits: Limits | None = None, *, known: Facts | None = None, tools: tuple[str, ...] | None = None
    ) -> None:
        self.facts = known or facts()
        self.actor = Guard()
        self.state: Tree = self.actor.initial()
        self.history: list[Tree] = []
        accepted = run.Accepted(
            goal=goal(limits=limits or Limits()),
            goal_digest="d",
            contract={"type": "string"},
            tools=tools,
            model="m",
            deadline_ms=NOW + 1000,
        )
        self.reads(accepted)

    def reads(self, *events: Event, name: str = RUN) -> Decision:
        """Decide one record of a run and fold what it caused."""
        return self.takes(Record(causes=("x",), events=events), name=name)

    def takes(
        self,
        body: object,
        *,
        name: str = RUN,
        cause: str = "x",
        now: int = NOW,
        records: Mapping[int, Record] | None = None,
    ) -> Decision:
        """Decide one message and fold what it caused."""
        given = message(body, name=name, cause=cause, now=now, records=records)
        decision = self.actor.decide(self.state, given, self.facts)
        if isinstance(decision, tuple):
            for event in decision:
                self.state = self.actor.evolve(self.state, event)
                self.history.append(self.state)
        return decision

    def proposes(
        self, *calls: Any, turn: int = 1, settled: tuple[run.Settlement, ...] = (), name: str = RUN
    ) -> list[Event]:
        """Let a run propose calls, and return what the guard made of them."""
        decision = self.reads(run.Called(turn=turn, at_ms=NOW, calls=calls, settled=settled), name=name)
        return list(decision) if isinstance(decision, tuple) else []


def results_of(found: list[Event]) -> list[str]:
    """Return `granted` or the code of the refusal for each decided call."""
    return [
        "granted" if isinstance(event, guard.Granted) else event.code
        for event in found
        if isinstance(event, guard.Granted | guard.Refused)
    ]


__all__ = ["NOW", "RUN", "Result", "RunOf", "TreeOf", "facts", "goal", "message", "results_of"]
