"""Tools whose functions run in processes of their own: in a module, where another process finds them."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path

from opentelemetry import trace

from callboard.tools import ToolError, tool


@tool(name="outside.add", effect="pure", process=True)
def add(a: int, b: int) -> dict[str, int | str]:
    """Add two numbers, and tell where."""
    return {"sum": a + b, "pid": os.getpid(), "call": os.environ["CALLBOARD_CALL"]}


@tool(name="outside.later", effect="pure", process=True)
async def later() -> str:
    """Answer later."""
    await asyncio.sleep(0.01)
    return "later"


@tool(name="outside.traced", effect="pure", process=True)
def traced() -> str:
    """Tell which span it happens within."""
    return f"{trace.get_current_span().get_span_context().span_id:016x}"


@tool(name="outside.fails", process=True)
def fails() -> None:
    """Fail as one should."""
    raise ToolError("not now", code="rate_limited", retryable=True)


@tool(name="outside.breaks", process=True)
def breaks() -> str:
    """Fail as one should not."""
    empty: dict[str, str] = {}
    return empty["key"]


@tool(name="outside.wrong", process=True)
def wrong() -> int:
    """Promise a number."""
    return "four"  # type: ignore[return-value]


_WAYS: dict[str, Callable[[], object]] = {
    "exit": lambda: os._exit(3),
    "fault": lambda: ctypes.string_at(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


@tool(name="outside.dies", effect="read", process=True, memory_mb=64)
def dies(how: str) -> None:
    """Die."""
    _WAYS[how]()


@tool(name="outside.dies_writing", effect="write", process=True)
def dies_writing(how: str) -> None:
    """Die, having perhaps changed something."""
    _WAYS[how]()


@tool(name="outside.takes", effect="pure", process=True, memory_mb=64)
def takes(mb: int) -> int:
    """Take memory."""
    return len(bytearray(mb << 20))


@tool(name="outside.loops", effect="pure", process=True)
def loops(file: str) -> None:
    """Loop in C for ever: no other thread of the process gets a turn."""
    Path(file).write_text(str(os.getpid()))
    sum(iter(int, 1))


@tool(name="outside.says", effect="pure", process=True)
def says(letters: int) -> str:
    """Say much."""
    return "a" * letters


def plain() -> None:
    """Be a function and no tool."""
