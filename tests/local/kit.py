"""The example run in this process: the provider, the real table tools over a folder, and the loop of a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from callboard.skills import load
from callboard.tools import Tool, ToolError
from callboard_contracts import model
from callboard_services.models.local import history
from callboard_services.models.provider import Asked, Message, Prompt, Provider
from callboard_services.tools.builtin._tables import Tables
from callboard_services.tools.builtin.table_describe import _described, table_describe
from callboard_services.tools.builtin.table_lookup import looked_up, table_lookup
from callboard_services.tools.builtin.table_rank import first_ranked, table_rank
from tests.local.questions import EXAMPLE

TOOLS: tuple[Tool, ...] = (table_describe, table_lookup, table_rank)
SKILL = load(EXAMPLE).skill
TURNS = 8


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a goal ended: an output, or why there is none; and the calls on the way."""

    output: Any = None
    give_up: str = ""
    calls: tuple[model.Ask, ...] = ()


def prompt(messages: list[Message], tools: tuple[Tool, ...] = TOOLS) -> Prompt:
    """Return the prompt of the run's next model call."""
    return Prompt(
        model="smollm2", messages=tuple(messages), tools=tuple(one.spec for one in tools), contract=SKILL.contract or {}
    )


def opening(question: str) -> list[Message]:
    """Return how a run of the example begins, in the words of the models service."""
    goal = f"Do what the skill {SKILL.name} says.\n\nInput, as JSON:\n{json.dumps({'question': question})}"
    return [Message(role="system", content=SKILL.prompt), Message(role="user", content=goal)]


async def ask(provider: Provider, folder: Path, question: str) -> End:
    """Run one goal to its end."""
    tables = open_tables(folder)
    messages = opening(question)
    calls: list[model.Ask] = []
    for turn in range(TURNS):
        answer = (await provider.complete(prompt(messages), lambda _: None)).answer
        if answer.finished or answer.give_up:
            return End(output=answer.output, give_up=answer.give_up, calls=tuple(calls))
        (asked,) = answer.asks
        calls.append(asked)
        messages += told(f"call-{turn}", asked, *result(tables, asked))
    return End(give_up="turns", calls=tuple(calls))


def open_tables(folder: Path) -> Tables:
    """Return the tables of a folder as the tools see them."""
    return Tables(str(folder), {path.stem: path for path in sorted(folder.glob("*.csv"))}, 30.0)


def told(id_: str, asked: model.Ask, value: Any, failed: bool) -> list[Message]:
    """Return a call with its result as the models service tells it."""
    content = msgspec.json.encode(value).decode()
    return [
        Message(role="assistant", asks=(Asked(id=id_, tool=asked.tool, arguments=asked.arguments),)),
        Message(role="tool", content=content, tool_call_id=id_, name=asked.tool, failed=failed),
    ]


def result(tables: Tables, asked: model.Ask) -> tuple[Any, bool]:
    """Return what a tool returns, and whether it is an error."""
    run: dict[str, Callable[..., Any]] = {
        "table.describe": lambda: _described(tables, tables.names, 3),
        "table.lookup": lambda **given: looked_up(tables, **given),
        "table.rank": lambda **given: first_ranked(tables, **given),
    }
    try:
        return msgspec.to_builtins(run[asked.tool](**asked.arguments)), False
    except ToolError as error:
        return {"error": {"code": "tool_failed", "message": str(error)}}, True


def state(messages: list[Message]) -> history.State:
    """Return what the provider reads in messages."""
    return history.read(prompt(messages))
