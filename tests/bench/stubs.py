"""Stub executors that answer at once: what remains is the system's own cost. Fixed answers: 1 KB and 200 B."""

import asyncio

import msgspec

from callboard.bus import Bus, Delivery, Puller, ack, layout, registry
from callboard_contracts import ids, model, names, subjects, wire
from callboard_contracts.call import Call, Completed, Usage
from callboard_contracts.journal import Record, granted
from callboard_contracts.tool import Entry, Model, Spec

TOOL = "echo"
_PAD = "x" * 880
_REPLY = "y" * 180


def model_spec() -> Spec:
    """Return the tool `model` with one priced stub model."""
    stub = Model(name="stub", input_micro_usd=1_000_000, output_micro_usd=2_000_000, scripted=True)
    return Spec(name=names.MODEL, description="stub", input_schema={"type": "object"}, hidden=True, models=(stub,))


def tool_spec() -> Spec:
    """Return a tool that echoes."""
    return Spec(name=TOOL, description="Echo.", input_schema={"type": "object"}, effect="pure")


async def register(bus: Bus, groups: int) -> None:
    """Admit the stubs, as the registrar would."""
    for spec in (model_spec(), tool_spec()):
        for group in range(groups):
            await layout.create_consumer(bus, layout.journal(group), layout.tool_consumer(spec.name))
        await registry.put_tool(bus, names.token(spec.name), Entry(spec=spec, instances=1))


class StubExecutor:
    """Answers every grant of one tool at once. A run makes `rounds` rounds of one model and one tool call."""

    def __init__(self, bus: Bus, groups: int, tool: str, rounds: int) -> None:
        self._bus = bus
        self._groups = groups
        self._tool = tool
        self._rounds = rounds
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Pull from every journal group."""
        for group in range(self._groups):
            await self._pull(layout.journal(group))

    async def _pull(self, stream: str) -> None:
        def on_delivery(delivery: Delivery) -> None:
            task = asyncio.get_running_loop().create_task(self._run(delivery, puller))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        puller = Puller(self._bus, stream, names.durable(self._tool), on_delivery)
        await puller.start()

    async def _run(self, delivery: Delivery, puller: Puller) -> None:
        grant = granted(wire.decode(delivery.body, Record))
        if grant is None:
            raise ValueError("no grant in the record")
        tenant = delivery.subject.split(".", 2)[1]
        result = Completed(
            call=grant.call.id,
            output=self._output(grant.call),
            usage=Usage(input_tokens=100, output_tokens=50, cost_micro_usd=200),
        )
        headers = {wire.ID: grant.call.id, wire.TYPE: "call.completed.v1"}
        await self._bus.publish(subjects.result(tenant, grant.call.id), wire.encode(result), headers)
        ack(self._bus, delivery)
        puller.done()

    def _output(self, call: Call) -> object:
        if self._tool != names.MODEL:
            return _REPLY
        if ids.turn_of(call.id) > 2 * self._rounds - 1:
            return msgspec.to_builtins(model.Answer(finished=True, output=_PAD))
        return msgspec.to_builtins(model.Answer(text=_PAD, asks=(model.Ask(tool=TOOL, arguments={"text": "hello"}),)))
