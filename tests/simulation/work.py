"""The tools and the model of the simulation: real `Tool`s whose answers follow from the seed and the call's id."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from callboard.tools import Tool, ToolContext, ToolError
from callboard_contracts import ids, names
from callboard_contracts.call import Usage
from callboard_contracts.model import Answer, Ask, Request
from callboard_contracts.tool import Effect, Model, Spec
from callboard_contracts.units import priced
from tests.simulation.dice import dice

_NUMBER: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
_PRICES = (1_000_000, 4_000_000)
"""Micro-dollars per million tokens, read and written."""
_MODEL = Spec(
    name=names.MODEL,
    description="Answers.",
    input_schema={},
    hidden=True,
    timeout_s=12.0,
    models=(Model(name="stub", input_micro_usd=_PRICES[0], output_micro_usd=_PRICES[1], context_tokens=4000),),
)


def _spec(name: str, effect: Effect, timeout_s: float, price: int = 0) -> Spec:
    return Spec(
        name=name,
        description="Does something.",
        input_schema=_NUMBER,
        output_schema={"type": "integer"},
        effect=effect,
        timeout_s=timeout_s,
        price_micro_usd=price,
    )


SPECS = (
    _spec("sim.look", "read", 10.0),
    _spec("sim.count", "pure", 5.0, 50),
    _spec("sim.pay", "write", 10.0, 3000),
    _spec("sim.launch", "irreversible", 6.0),
    _spec("sim.slow", "read", 8.0),
)
LASTING = frozenset(spec.name for spec in SPECS if spec.effect in ("write", "irreversible"))


class Effects:
    """The outside world: counts what was done to it, by idempotency key.

    :param note: is told of each.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.done: Counter[str] = Counter()
        self._note = note

    def happen(self, context: ToolContext) -> None:
        """Something is done, once more or for the first time."""
        self.done[context.idempotency_key] += 1
        self._note(f"-- {context.tool} has an effect for {context.call}, the {self.done[context.call]}. time")


def tools(seed: int, effects: Effects) -> list[Tool]:
    """Return the tools of a seed."""

    def handler(spec: Spec) -> Tool:
        async def handle(context: ToolContext, arguments: Any) -> int:
            chance = dice(seed, context.call)
            before, after = _pauses(spec, chance)
            await asyncio.sleep(before)
            effects.happen(context)
            await asyncio.sleep(after)
            return _outcome(spec, chance, context, arguments["n"])

        return Tool(spec, handle)

    return [handler(spec) for spec in SPECS]


def _pauses(spec: Spec, chance: Random) -> tuple[float, float]:
    """Return how long a call takes before and after its effect: mostly a moment, at times longer than it may."""
    longest = spec.timeout_s * 1.2 if spec.name == "sim.slow" or chance.random() < 0.05 else 0.4
    return chance.random() * longest, chance.random() * longest / 2


def _outcome(spec: Spec, chance: Random, context: ToolContext, number: int) -> int:
    roll = chance.random()
    if spec.price_micro_usd and roll < 0.5:
        context.cost(int(spec.price_micro_usd * chance.random()))
    if roll < 0.08:
        raise ToolError("it did not work out", retryable=chance.random() < 0.5)
    if roll < 0.1:
        raise ValueError("a bug of the tool's author")
    return number + 1


def stub_model(seed: int) -> Tool:
    """Return a model that plans by dice. What it uses is never more than was reserved."""

    async def handle(context: ToolContext, arguments: Any) -> Any:
        chance = dice(seed, context.call)
        request = msgspec.convert(arguments, Request)
        await asyncio.sleep(chance.random() * (15.0 if chance.random() < 0.02 else 0.5))
        context.usage(_usage(request, chance))
        if chance.random() < 0.05:
            raise ToolError("overloaded", retryable=chance.random() < 0.8, code="provider_error")
        return answer(chance, context.call, request)

    return Tool(_MODEL, handle)


def _usage(request: Request, chance: Random) -> Usage:
    read = int(request.prompt_tokens * chance.random())
    written = int(request.max_output_tokens * chance.random())
    cost = priced(read, _PRICES[0]) + priced(written, _PRICES[1])
    return Usage(cost_micro_usd=cost, input_tokens=read, output_tokens=written, model="stub")


def answer(chance: Random, call: str, request: Request) -> Answer:
    """Return what the model says: tools to use, an output that fits the contract or not, or that it gives up."""
    run = ids.run_of(call)
    if request.tools and chance.random() > 0.06 * ids.turn_of(call) + 0.25 * ids.depth_of(run):
        asked = [_ask(chance, request.tools) for _ in range(chance.choice((1, 1, 2, 3, 5)))]
        return Answer(asks=tuple(asked))
    roll = chance.random()
    if roll < 0.05:
        return Answer(give_up="it cannot be done")
    if roll < 0.1:
        return Answer()
    return Answer(finished=True, output="done" if roll > 0.2 else 42)


def _ask(chance: Random, tools: tuple[str, ...]) -> Ask:
    roll = chance.random()
    if roll < 0.02:
        return Ask(tool="sim.nowhere", arguments={"n": 1})
    if roll < 0.04:
        return Ask(tool="sim.look", arguments={"n": "one"})
    tool = chance.choice(tools)
    if tool == names.ASK:
        return Ask(tool=tool, arguments={"question": "Which colour?"})
    if tool != names.AGENT:
        return Ask(tool=tool, arguments={"n": chance.randint(0, 99)})
    wish: dict[str, Any] = {"objective": "a part", "max_turns": chance.randint(1, 4)}
    wish["timeout_s"] = float(chance.choice((4, 30, 60)))
    if chance.random() < 0.4:
        wish["budget_usd"] = chance.choice((0.004, 0.02, 0.1))
    if chance.random() < 0.2:
        wish["tools"] = ["sim.look", "sim.pay"]
    return Ask(tool=tool, arguments=wish)
