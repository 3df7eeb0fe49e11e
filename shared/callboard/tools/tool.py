"""`@tool` turns a typed Python function into a tool: its schema, its description and how it is run.

@tool(name="text.count", effect="pure")
def count(text: Annotated[str, Meta(description="What to count in")], word: str) -> int:
    '''Count how often a word occurs in a text.'''
    return text.split().count(word)
"""

import inspect
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast, overload

import anyio.to_thread
import msgspec

from callboard.tools import apart, signature
from callboard.tools.context import Handler, ToolContext
from callboard_contracts import names, units
from callboard_contracts.errors import CallboardError
from callboard_contracts.tool import Effect, Spec

_limiter: anyio.CapacityLimiter | None = None


class Tool:
    """One tool: what it is, and the handler that runs its calls. Calling it calls the function, as in a test.

    :param concurrency: how many calls a process runs at once, when that is fewer than the executor's own number.
    :param idempotent: a call that is run again, under the same id, changes nothing more.
    """

    def __init__(
        self,
        spec: Spec,
        handler: Handler,
        *,
        function: Callable[..., Any] | None = None,
        concurrency: int | None = None,
        idempotent: bool = False,
    ) -> None:
        self.spec = spec
        self.handler = handler
        self.function = function
        self.concurrency = concurrency
        self.idempotent = idempotent

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function that this tool was made of."""
        if self.function is None:
            raise TypeError(f"{self.spec.name} was not made of a function")
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Tool {self.spec.name} {self.spec.version}>"


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str = "",
    version: str = "1.0.0",
    description: str = "",
    effect: Effect = "read",
    timeout_s: float = 60.0,
    price_usd: float | str = 0,
    tags: tuple[str, ...] = (),
    hidden: bool = False,
    concurrency: int | None = None,
    idempotent: bool = False,
    process: bool = False,
    memory_mb: int | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a typed function; its docstring is what the model reads.

    :param name: default: the function's name. :param effect: what running it twice would mean.
    :param price_usd: the most that one call can cost. :param timeout_s: how long one call may take.
    :param idempotent: it keeps to the call's id, so that one that was broken off is run again instead of given up.
    :param process: each call runs in a fresh process, which can be stopped whatever it does; see `apart`.
    :param memory_mb: what that process may take beyond what it starts with (not on macOS).
    :raises CallboardError: `invalid_tool`, with what is wrong.
    """
    return partial(_tool, **options) if function is None else _tool(function, **options)


def _tool(
    function: Callable[..., Any],
    *,
    name: str = "",
    description: str = "",
    price_usd: float | str = 0,
    concurrency: int | None = None,
    idempotent: bool = False,
    process: bool = False,
    memory_mb: int | None = None,
    **options: Any,
) -> Tool:
    name = name or function.__name__
    try:
        found = signature.read(function)
        spec = Spec(
            name=name,
            description=description or inspect.cleandoc(function.__doc__ or ""),
            input_schema=found.input_schema,
            output_schema=found.output_schema,
            price_micro_usd=units.micro_usd(price_usd),
            **options,
        )
        spec = msgspec.convert(msgspec.to_builtins(spec), Spec)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise CallboardError("invalid_tool", f"{name}: {error}") from None
    _check(spec, concurrency)
    if memory_mb is not None and not (process and memory_mb > 0):
        raise CallboardError("invalid_tool", f"{name}: memory_mb is a positive number, and only with process=True")
    handler = apart.handler(function, found, memory_mb) if process else _handler(function, found)
    return Tool(spec, handler, function=function, concurrency=concurrency, idempotent=idempotent)


def _check(spec: Spec, concurrency: int | None) -> None:
    problem = ""
    if not names.is_tool(spec.name):
        problem = "a name is lower-case words with dots, such as files.read, at most 64 characters"
    elif not spec.description:
        problem = "it has no docstring: say in one or two sentences when a model should use it"
    elif not spec.timeout_s > 0 or math.isinf(spec.timeout_s):
        problem = "timeout_s is not a positive number"
    elif concurrency is not None and concurrency < 1:
        problem = "concurrency is not a positive number"
    if problem:
        raise CallboardError("invalid_tool", f"{spec.name}: {problem}")


def _handler(function: Callable[..., Any], found: signature.Signature) -> Handler:
    run = _awaited if inspect.iscoroutinefunction(function) else _in_thread

    async def handle(context: ToolContext, arguments: Any) -> Any:
        values = signature.values(found, arguments)
        if found.context:
            values[found.context] = context
        return await run(partial(function, **values))

    return handle


async def _awaited(function: Callable[[], Any]) -> Any:
    return await cast("Awaitable[Any]", function())


async def _in_thread(function: Callable[[], Any]) -> Any:
    """Run in a thread of its own. The executor bounds how many; one that hangs past its time takes no other's place."""
    global _limiter  # noqa: PLW0603 - it can only be made inside a running loop
    if _limiter is None:
        _limiter = anyio.CapacityLimiter(math.inf)
    return await anyio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=_limiter)
