"""A tool's function in a fresh process for each call: what kills that process costs the call and nothing else.

Memory that runs out, a fault in a library, `os._exit` and a loop that never ends are then a failed call. The process
has no connection to the broker, so the function takes no ToolContext; CALLBOARD_CALL tells it the call's id. It is
ended like every program of a call: see `process`.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from callboard.bus import objects
from callboard.tools import signature
from callboard.tools.context import Handler, ToolContext
from callboard.tools.errors import ToolError
from callboard.tools.process import Finished, Limits, ProcessDiedError, Programs
from callboard_contracts.errors import CallboardError

log = structlog.get_logger()

one_call_only = False
"""Whether this process was started for one call, by `child`: it serves nobody else."""

_ANSWER_BYTES: Final = objects.MAX_FILE_BYTES + 4096
"""An output of the size that can be stored, and what is said around it."""
_ERROR_BYTES: Final = 16 * 1024
_MIB: Final = 1024 * 1024


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to run. `file` is the script that defines the function, when no module of a name does."""

    module: str
    file: str = ""
    function: str
    arguments: Any
    memory_bytes: int | None = None
    traceparent: str = ""
    """The trace context of the call."""


class Returned(msgspec.Struct, tag="returned", frozen=True):
    """The function returned."""

    output: Any


class Raised(msgspec.Struct, tag="raised", frozen=True, kw_only=True):
    """The function raised, or could not be run."""

    code: str
    message: str
    retryable: bool = False


def handler(function: Callable[..., Any], found: signature.Signature, memory_mb: int | None) -> Handler:
    """Return what runs a function's calls in processes of their own.

    :raises CallboardError: `invalid_tool`: another process could not find it, or could not give it what it takes.
    """
    module, file = _home(function)
    if found.context:
        raise _unusable(function, "takes a ToolContext, which a process of its own does not have")
    memory_bytes = memory_mb * _MIB if memory_mb else None

    async def handle(context: ToolContext, arguments: Any) -> Any:
        signature.values(found, arguments)
        request = Request(
            module=module,
            file=file,
            function=function.__qualname__,
            arguments=arguments,
            memory_bytes=memory_bytes,
            traceparent=context.traceparent,
        )
        return await answered(context.programs, request)

    return handle


async def answered(programs: Programs, request: Request, limits: Limits = Limits()) -> Any:  # noqa: B008 - it is frozen
    """Run a function in a process of its own, and return what it returned.

    :raises ToolError: what it raised, or that the process died.
    """
    return _answer(await _ended(programs, msgspec.json.encode(request), limits), request.memory_bytes)


def _home(function: Callable[..., Any]) -> tuple[str, str]:
    """Return the module, or the script, in which another process finds a function."""
    if "<" in function.__qualname__:
        raise _unusable(function, "is not at the top of a module, where another process could find it")
    if function.__module__ != "__main__":
        return function.__module__, ""
    main = sys.modules["__main__"]
    if (spec := getattr(main, "__spec__", None)) is not None:
        return str(spec.name), ""
    if not (file := getattr(main, "__file__", None)):
        raise _unusable(function, "is in no file, where another process could find it")
    return "", os.path.abspath(file)  # noqa: PTH100 - as it is named, also where it is a link


def _unusable(function: Callable[..., Any], why: str) -> CallboardError:
    return CallboardError("invalid_tool", f"{function.__qualname__}: process=True, but the function {why}")


async def _ended(programs: Programs, request: bytes, limits: Limits) -> Finished:
    command = (sys.executable, "-P", "-m", "callboard.tools.child")
    keep = (_ANSWER_BYTES, _ERROR_BYTES)
    return await programs.run(command, request, {"PYTHONPATH": _path()}, None, limits, keep)


def _path() -> str:
    return os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100 - as they are named


def _answer(ended: Finished, memory_bytes: int | None) -> Any:
    if len(ended.stdout) >= _ANSWER_BYTES:
        raise ToolError(f"the output has more than {objects.MAX_FILE_BYTES:,} bytes", code="output_invalid")
    told = ended.stderr.decode(errors="replace")[-2000:]
    try:
        answer = msgspec.json.decode(ended.stdout, type=Returned | Raised)
    except msgspec.DecodeError:
        log.warning("a tool's process died", ending=ended.ending, stderr=told)
        limit = f" (it may take {memory_bytes // _MIB} MB)" if memory_bytes else ""
        raise ProcessDiedError(f"the tool's process {ended.ending} before it answered{limit}") from None
    if isinstance(answer, Raised):
        if told:
            log.warning("tool failed", stderr=told)
        raise ToolError(answer.message, code=answer.code, retryable=answer.retryable)
    return answer.output
