"""A scripted model's file: steps in JSON, and which of them comes next. Pure.

    {"runs": [{"match": "words of the objective or skill", "steps": [STEP, …]}, …], "steps": [STEP, …]}

A STEP says one of `asks`, `output`, `give_up`, `fail`; beside it `text`, `delay_s`, `tokens`. The first of `runs`
whose `match` occurs in the run's goal or skill is followed, else `steps`. Which step is next follows from how many
answers the run had, never from memory: it is the same after a restart.

Anywhere in `arguments` and `output`, `{"$result": n, "at": "/pointer"}` stands for what the n-th tool result holds
there (0 is the first, -1 the latest), so that a script need not know what the tools will find. In a run so long that
its beginning is left out or summed up, only what is counted from the latest can be copied.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from callboard_contracts import model
from callboard_contracts.errors import CATALOGUE, CallboardError
from callboard_services.models.errors import ProviderError
from callboard_services.models.provider import Tokens


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool to ask for."""

    tool: str
    arguments: Any = {}


class Fail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An error of the provider instead of an answer."""

    code: str
    message: str = "scripted"
    retryable: bool | None = None
    free: bool = False
    retry_after_s: float = 0.0


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer."""

    asks: tuple[Ask, ...] = ()
    output: Any = msgspec.UNSET
    give_up: str = ""
    fail: Fail | None = None
    text: str = ""
    delay_s: float = 0.0
    tokens: Tokens | None = None


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps of the runs whose goal or skill holds `match`."""

    match: str
    steps: tuple[Step, ...]


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file."""

    steps: tuple[Step, ...] = ()
    runs: tuple[Run, ...] = ()


def parse(text: bytes, where: str) -> Script:
    """Read a script.

    :raises CallboardError: `invalid_request`, it is none.
    """
    try:
        script = msgspec.json.decode(text, type=Script)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallboardError("invalid_request", f"the script {where} cannot be read: {error}") from None
    steps = [*script.steps, *(step for one in script.runs for step in one.steps)]
    unknown = [step.fail.code for step in steps if step.fail and step.fail.code not in CATALOGUE]
    if unknown:
        raise CallboardError("invalid_request", f"the script {where} fails with codes that do not exist: {unknown}")
    return script


def step(script: Script, goal: str, turn: int) -> Step:
    """Return the step of a run that had `turn` answers. `goal` is its system message and goal.

    :raises ProviderError: `script_exhausted`.
    """
    steps = next((one.steps for one in script.runs if one.match in goal), script.steps)
    if turn >= len(steps):
        raise ProviderError("script_exhausted", f"the script has {len(steps)} steps for this run", free=True)
    return steps[turn]


def answer(step: Step, results: Sequence[str], *, whole: bool = True) -> model.Answer:
    """Return a step as an answer; `results` are the tool messages so far. `whole`: none of them was left out.

    :raises ProviderError: what the step fails with, or `script_exhausted`: it copies what is not there.
    """
    if step.fail is not None:
        raise _failure(step.fail, step.tokens)
    if step.asks:
        asks = tuple(
            model.Ask(tool=one.tool, arguments=filled(one.arguments, results, whole=whole)) for one in step.asks
        )
        return model.Answer(text=step.text, asks=asks)
    if step.output is not msgspec.UNSET:
        return model.Answer(text=step.text, finished=True, output=filled(step.output, results, whole=whole))
    return model.Answer(text=step.text, give_up=step.give_up or "the script says nothing")


def filled(value: Any, results: Sequence[str], *, whole: bool = True) -> Any:
    """Return a value with each `{"$result": n, "at": pointer}` replaced."""
    match value:
        case {"$result": int(at), **rest} if not rest.keys() - {"at"}:
            return _copied(at, str(rest.get("at", "")), results if whole or at < 0 else ())
        case dict():
            return {key: filled(one, results, whole=whole) for key, one in value.items()}
        case list():
            return [filled(one, results, whole=whole) for one in value]
        case _:
            return value


def _failure(fail: Fail, tokens: Tokens | None) -> ProviderError:
    return ProviderError(
        fail.code,
        fail.message,
        retryable=fail.retryable,
        free=fail.free,
        retry_after_s=fail.retry_after_s,
        tokens=tokens,
    )


def _copied(at: int, pointer: str, results: Sequence[str]) -> Any:
    try:
        found = msgspec.json.decode(results[at])
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            found = found[int(key)] if isinstance(found, list) else found[key]
    except (IndexError, KeyError, TypeError, ValueError):
        said = f"the script copies {pointer or 'all'} of result {at}, which is not there ({len(results)} results)"
        raise ProviderError("script_exhausted", said, free=True) from None
    return found
