"""The process of one call: reads a request from standard input, runs the function, writes its answer, ends.

What the function prints goes to standard error: standard output belongs to the answer alone.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import os
import resource
import sys
import traceback
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec

from callboard.tools import apart, signature
from callboard.tools.apart import Raised, Request, Returned
from callboard.tools.errors import ToolError
from callboard.tools.tool import Tool
from callboard.tools.trace import within

_SCRIPT = "__callboard_tool__"
"""Not `__main__`: a script that guards its last lines by that name is not to serve here."""


def main() -> None:
    """Answer one request."""
    answers = os.dup(1)
    os.dup2(2, 1)
    apart.one_call_only = True
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    body = msgspec.json.encode(_answer(request))
    with os.fdopen(answers, "wb") as file:
        file.write(body)


def _answer(request: Request) -> Returned | Raised:
    try:
        function = _function(request)
    except Exception as error:  # noqa: BLE001 - whatever importing somebody's module does
        traceback.print_exc()
        where = request.module or request.file
        return _raised(f"{where} cannot be used in a process of its own: {type(error).__name__}: {error}")
    try:
        with within(request.traceparent):
            return _returned(_run(function, request))
    except ToolError as error:
        return Raised(code=error.code, message=error.message, retryable=error.retryable)
    except MemoryError:
        return _raised("MemoryError: the function needs more memory than it may take")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a tool's author did not foresee
        traceback.print_exc()
        return _raised(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _raised(message: str) -> Raised:
    return Raised(code="tool_failed", message=message)


def _function(request: Request) -> Callable[..., Any]:
    module = importlib.import_module(request.module) if request.module else _script(request.file)
    found = reduce(getattr, request.function.split("."), module)
    function = found.function if isinstance(found, Tool) else found
    if not callable(function):
        raise TypeError(f"{request.function} is not a function there")
    return function


def _script(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(_SCRIPT, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = sys.modules[_SCRIPT] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(Path(path).parent))
    spec.loader.exec_module(module)
    return module


def _run(function: Callable[..., Any], request: Request) -> Any:
    values = signature.values(signature.read(function), request.arguments)
    _limit(request.memory_bytes)
    if inspect.iscoroutinefunction(function):
        return asyncio.run(function(**values))
    return function(**values)


def _limit(memory_bytes: int | None) -> None:
    """Limit what may be taken beyond what a process has when the tool's module is loaded."""
    if memory_bytes:
        with contextlib.suppress(OSError, ValueError):  # macOS takes no such limit
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + memory_bytes
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _returned(output: Any) -> Returned | Raised:
    try:
        value = msgspec.to_builtins(output, str_keys=True)
        msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return Raised(code="output_invalid", message=f"the output is not JSON: {error}")
    return Returned(value)


if __name__ == "__main__":
    main()
