"""Stub executors that answer at once: what remains is the system's own cost. Fixed answers: 1 KB and 200 B.

What the stub model does stands in the model's name: `rounds-10` asks ten times for the tool and then has its answer,
`fan-100` asks for a hundred sub-agents, `slow-10` and `never-1` ask for the tools of those names.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from callboard.bus import Bus, Delivery, Puller, layout, registry
from callboard.service import Context
from callboard.tools import serve, tool
from callboard_contracts import ids, model, names, subjects, wire
from callboard_contracts.call import Call, Completed, Usage
from callboard_contracts.journal import Record, granted
from callboard_contracts.tool import Entry, Model, Spec
from callboard_services.planner.agent import AGENT
from callboard_services.planner.steps import MAX_PARALLEL
from tests.bench.hop import Hop

TOOL = "echo"
EXECUTED = "bench.executed"
"""Where executors tell each execution when BENCH_TELL is set: on core NATS, so that it survives their death."""
TELL = bool(os.environ.get("BENCH_TELL"))
_PAD = "x" * 880
_REPLY = "y" * 180
_DAY_S = 86_400.0
_MODEL_USAGE = Usage(input_tokens=100, output_tokens=50, cost_micro_usd=200, prompt="0123456789abcdef")
_TOOL_USAGE = Usage(cost_micro_usd=200)


def specs(*models: str) -> tuple[Spec, ...]:
    """Return the tools that these models need, with the models."""
    priced = tuple(Model(name=name, input_micro_usd=1_000_000, output_micro_usd=2_000_000) for name in models)
    asked = {_asks_for(name) for name in models} | {TOOL}
    known = {
        TOOL: Spec(name=TOOL, description="Echo.", input_schema={"type": "object"}, effect="pure"),
        slow.spec.name: slow.spec,
        "never": Spec(name="never", description="", input_schema={"type": "object"}, effect="pure", timeout_s=_DAY_S),
        names.AGENT: AGENT,
    }
    stub = Spec(name=names.MODEL, description="stub", input_schema={"type": "object"}, hidden=True, models=priced)
    return (stub, *(spec for name, spec in known.items() if name in asked))


def _asks_for(model_name: str) -> str:
    what = model_name.partition("-")[0]
    return {"rounds": TOOL, "fan": names.AGENT}.get(what, what)


async def register(bus: Bus, groups: int, found: tuple[Spec, ...], ack_wait_s: float) -> None:
    """Admit tools, as the registrar would."""
    for spec in found:
        for group in range(groups):
            config = layout.tool_consumer(spec.name, ack_wait_s=ack_wait_s)
            await layout.create_consumer(bus, layout.journal(group), config)
        await registry.put_tool(bus, names.token(spec.name), Entry(spec=spec, instances=1))


def _execute(hop: Hop, puller: Puller, delivery: Delivery) -> None:
    """Answer a grant at once."""
    grant = granted(wire.decode(delivery.body, Record))
    if grant is None:
        raise ValueError("no grant in the record")
    call = grant.call
    if TELL:
        hop.bus.send(EXECUTED, call.id.encode())
    output = _answer(call) if call.tool == names.MODEL else _REPLY
    usage = _MODEL_USAGE if call.tool == names.MODEL else _TOOL_USAGE
    body = wire.encode(Completed(call=call.id, output=output, usage=usage))
    tenant = delivery.subject.split(".", 2)[1]
    hop.publish(subjects.result(tenant, call.id), body, b"", puller, delivery)


def _answer(call: Call) -> Any:
    """Return what the model says in this turn: turns 1, 3, 5 … are the model's, those between its tools'."""
    what, _, number = str(call.arguments["model"]).partition("-")
    asked = (ids.turn_of(call.id) - 1) // 2
    asks = _fan(int(number), asked) if what == "fan" else _one(_asks_for(what), asked < int(number))
    answer = model.Answer(text=_PAD, asks=asks) if asks else model.Answer(finished=True, output=_PAD)
    return msgspec.to_builtins(answer)


def _one(name: str, more: bool) -> tuple[model.Ask, ...]:
    return (model.Ask(tool=name, arguments={"text": "hello"}),) if more else ()


def _fan(children: int, asked: int) -> tuple[model.Ask, ...]:
    """Ask for as many sub-agents at once as one answer may."""
    wish = {"objective": "a part", "model": "rounds-1", "tools": [TOOL]}
    left = min(MAX_PARALLEL, children - MAX_PARALLEL * asked)
    return tuple(model.Ask(tool=names.AGENT, arguments=wish) for _ in range(left))


def serving(tool: str) -> Callable[[Context], Awaitable[None]]:
    """Return the service of a stub."""

    async def serve_stub(context: Context) -> None:
        hop = Hop(context.bus)
        await hop.start()
        streams = [layout.journal(group) for group in range(context.groups)]
        pullers = [await hop.pull(stream, names.durable(tool), _execute) for stream in streams]
        context.ready()
        await context.stop.wait()
        for puller in pullers:
            await puller.stop()

    return serve_stub


@tool(effect="pure")
async def slow(text: str) -> str:
    """Take 50 ms."""
    await asyncio.sleep(0.05)
    return text


async def serve_slow(context: Context) -> None:
    """Serve the slow tool as its author would: with the tool SDK."""
    await serve(context, [slow])
