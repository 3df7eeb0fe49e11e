"""Builders for a run's records as the models service reads them, and a catalogue with one model behind a server."""

from collections.abc import AsyncGenerator, Iterable
from typing import Any

import msgspec

from callboard_contracts import call, goal, ids, model, names, run, tool
from callboard_services.models import choose, history, known, prices
from callboard_services.models.catalogue import Catalogue
from callboard_services.models.complete import Job
from callboard_services.models.history import Entry
from callboard_services.models.provider import Message, Prompt

RUN = "01M7Z50RGFFACP487FMVDYW9BK"
OBJECT: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRING: dict[str, Any] = {"type": "string"}


def spec(name: str = "files.read") -> tool.Spec:
    return tool.Spec(name=name, description="Read a file.", input_schema={"type": "object"})


def accepted(objective: str = "Find the city", *, grounded: bool = False, **more: Any) -> run.Accepted:
    submit = goal.Submit(id=RUN, objective=objective, grounded=grounded, input=more.pop("input", None))
    return run.Accepted(
        goal=submit, goal_digest="d", contract=more.pop("contract", OBJECT), model="", deadline_ms=1, **more
    )


class Story:
    """A run's records, one method per thing that happens."""

    def __init__(self, first: run.Accepted | None = None) -> None:
        self.first = first or accepted()
        self.entries = [Entry(events=(self.first,))]
        self._turn = 0
        self._open: list[str] = []

    def asked(self) -> "Story":
        self._turn += 1
        made = call.Call(id=ids.call_id(RUN, self._turn, 0), tool=names.MODEL)
        self._called(made)
        return self

    def said(self, answer: model.Answer) -> "Story":
        """The model is asked and answers, and the calls that follow are proposed."""
        return self.asked().answered(answer)

    def answered(self, answer: model.Answer) -> "Story":
        """The model answers, and the calls that follow are proposed."""
        output = msgspec.to_builtins(answer)
        self._took(names.MODEL, call.Completed(call=self._open[0], output=output))
        if answer.asks:
            self._turn += 1
            made = [ids.call_id(RUN, self._turn, at) for at in range(len(answer.asks))]
            pairs = zip(made, answer.asks, strict=True)
            self._called(*(call.Call(id=one, tool=ask.tool, arguments=ask.arguments) for one, ask in pairs))
        return self

    def failed(self) -> "Story":
        """The model could not be asked."""
        self.asked()
        self._took(names.MODEL, call.Failed(call=self._open[0], code="provider_error", message="HTTP 500"))
        return self

    def returned(self, *outputs: Any) -> "Story":
        """The tools answer, in any order: each with an output, or with a result as it is given."""
        for made, output in reversed(list(zip(self._open, outputs, strict=True))):
            result = output(made) if callable(output) else call.Completed(call=made, output=output)
            self._took("files.read", result)
        return self

    def noted(self, text: str) -> "Story":
        self.entries.append(Entry(events=(run.Noted(text=text),)))
        return self

    def steered(self, text: str) -> "Story":
        """A person says something."""
        self.entries.append(Entry(events=(run.Steered(id=text, text=text, principal="ada"),)))
        return self

    def retried(self, *calls: call.Call) -> "Story":
        """A person has calls made again."""
        self._turn += 1
        ids_ = [ids.call_id(RUN, self._turn, at) for at in range(len(calls))]
        pairs = zip(ids_, calls, strict=True)
        self._called(*(msgspec.structs.replace(one, id=id_, again=one.id) for id_, one in pairs))
        return self

    @property
    def made(self) -> tuple[call.Call, ...]:
        """The calls that were made last."""
        called = (event for entry in self.entries for event in entry.events if isinstance(event, run.Called))
        return list(called)[-1].calls

    @property
    def history(self) -> tuple[Entry, ...]:
        return tuple(self.entries)

    async def outputs(self) -> AsyncGenerator[Any, None]:
        """What the tools returned."""
        for outcome in history.outcomes(self.history):
            if outcome.taken.tool != names.MODEL and isinstance(outcome.result, call.Completed):
                yield outcome.result.output

    def _called(self, *made: call.Call) -> None:
        self._open = [one.id for one in made]
        self.entries.append(Entry(events=(run.Called(turn=self._turn, at_ms=1, calls=made),)))

    def _took(self, name: str, result: call.Result) -> None:
        status: Any = type(result).__name__.lower()
        taken = run.Taken(call=result.call, tool=name, status=status, seq=len(self.entries))
        self.entries.append(Entry(events=(run.Took(results=(taken,)),), results={taken.seq: result}))


def ask(**arguments: Any) -> model.Ask:
    return model.Ask(tool="files.read", arguments=arguments)


def prompt(contract: dict[str, Any] | None = None, timeout_s: float = 5.0, **more: Any) -> Prompt:
    said = (Message(role="system", content="rules"), Message(role="user", content="Find the city"))
    return Prompt(
        model="fake", messages=more.pop("messages", said), contract=contract or OBJECT, timeout_s=timeout_s, **more
    )


def assert_every_ask_has_its_result_right_behind_it(messages: Iterable[Message]) -> None:
    waiting: list[str] = []
    for message in messages:
        if waiting:
            assert (message.role, message.tool_call_id) == ("tool", waiting.pop(0))
            continue
        assert message.role != "tool"
        waiting = [asked.id for asked in message.asks]
    assert not waiting


def job(story: Story, timeout_s: float = 5.0, **request: Any) -> Job:
    arguments = msgspec.to_builtins(model.Request(model=request.pop("model", ""), **request))
    made = call.Call(id=ids.call_id(RUN, 99, 0), tool=names.MODEL, arguments=arguments, timeout_s=timeout_s)
    return Job(call=made, history=story.history, outputs=story.outputs, offered=(spec(),))


def catalogue(url: str, table: dict[str, Any] | None = None) -> Catalogue:
    """One model `openai/fake` at a server, priced at 1 and 2 dollars per million tokens unless told otherwise."""
    own = {"openai/fake": {"input": 1, "output": 2}} if table is None else table
    choice = known.Choice(name="openai/fake", kind="openai", target="fake", url=url, key="OPENAI_API_KEY")
    return Catalogue([choice], prices.Prices(own=own), {"OPENAI_API_KEY": "sk-test-secret"})


def scripted(path: str) -> Catalogue:
    choice = choose.resolve(f"scripted:{path}", known.Environment())
    return Catalogue([choice], prices.Prices(), {})
