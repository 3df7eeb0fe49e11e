"""`python -m tests.local.measure model|chance|chance-arguments|chance-answer FIRST LAST`: the example, seed by seed."""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from callboard.embed import Embedder
from callboard_contracts import model
from callboard_services.models.local import weights
from callboard_services.models.local.engine import Engine
from callboard_services.models.local.narrow import Narrow
from callboard_services.models.provider import Emit, Prompt, Reply
from tests.local import kit, questions


class Measured:
    """A provider that keeps of each generation how many options the grammar left; chance can take the model's place."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._engine = Engine(weights.find("").path)
        self._dice = random.Random(1)  # noqa: S311 - the same choices in every run
        self._step = Narrow(Embedder().similarity, self._write).step
        self.options: list[int] = []

    async def complete(self, request: Prompt, emit: Emit) -> Reply:  # noqa: ARG002 - a provider's signature
        answer: model.Answer = self._step(request)
        return Reply(answer=answer)

    async def aclose(self) -> None: ...

    def _write(self, chat: list[dict[str, str]], schema: dict[str, Any]) -> Any:
        self.options.append(options(schema))
        part = "answer" if "answer" in schema["properties"] else "arguments"
        if self._who in ("chance", f"chance-{part}"):
            return any_of(schema, self._dice)
        return msgspec.json.decode(self._engine.generate(chat, schema).text)


def options(schema: dict[str, Any]) -> int:
    """Return in how many ways the enumerations of a schema can be filled."""
    if "enum" in schema:
        return len(schema["enum"])
    product = 1
    for one in schema["properties"].values():
        product *= options(one)
    return product


def any_of(schema: dict[str, Any], dice: random.Random) -> Any:
    """Return what the schema admits, by chance."""
    if "enum" in schema:
        return dice.choice(schema["enum"])
    return {name: any_of(one, dice) for name, one in schema["properties"].items()}


async def measure(who: str, seeds: range) -> None:
    """Tell how many goals end right, how many beyond reach end honestly, how long they take, how free the model is."""
    provider, seconds, per_seed, honest = Measured(who), [], [], []
    for seed in seeds:
        folder = Path(tempfile.mkdtemp())
        questions.reshuffle(folder, seed)
        right = 0
        for question, wanted in questions.ten(folder, seed):
            start = time.monotonic()
            end = await kit.ask(provider, folder, question)
            seconds.append(time.monotonic() - start)
            right += questions.is_right(end.output, wanted)
            if not questions.is_right(end.output, wanted):
                say(f"seed {seed}: {question} {end.output or end.give_up!r}, not {set(wanted)}")
        per_seed.append(right)
        left = provider.options[:]
        honest += [(await kit.ask(provider, folder, one)).output is None for one in questions.beyond(folder, seed)]
        provider.options[:] = left
    say(f"right {sum(per_seed)} of {10 * len(seeds)}, by seed {per_seed}; honest {sum(honest)} of {len(honest)}")
    say(f"median {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s a goal")
    free = [one for one in provider.options if one > 1]
    say(f"{len(provider.options)} generations, {len(free)} with a choice, median {statistics.median(free):.0f} options")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], range(int(sys.argv[2]), int(sys.argv[3]))))
