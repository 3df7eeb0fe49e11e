"""One attempt at one granted call: from the message that was pulled to the result that is published.

Nothing that changes the world runs twice: see `once`. Whatever happens, the caller gets one result for the call, or
the message comes again; it is never dropped.
"""

import asyncio
from typing import Any, assert_never

import msgspec
import structlog

from callboard import crash
from callboard.actor import violations
from callboard.bus import Bus, BusError, Delivery, layout, objects
from callboard.tools import once
from callboard.tools.clock import BrokerClock
from callboard.tools.context import ToolContext
from callboard.tools.errors import ToolError
from callboard.tools.process import ProcessDiedError
from callboard.tools.stops import Reason, Told
from callboard.tools.tool import Tool
from callboard.tools.trace import within
from callboard_contracts import journal, subjects, wire
from callboard_contracts.call import Completed, Failed, Lost, Result, Usage
from callboard_contracts.errors import CallboardError
from callboard_contracts.guard import Granted

log = structlog.get_logger()

_MESSAGE_LETTERS = 2000
_READ_ASK_S = 0.5
"""How long to ask whether a call is waited for that may as well run twice."""


class Undecodable(Exception):  # noqa: N818 - a state of a message; it goes to the dead letters
    """A pulled message is no granted call of this tool."""


class Order(msgspec.Struct, frozen=True):
    """A granted call as it was pulled."""

    tenant: str
    granted: Granted
    delivered: int
    stored_ms: int
    """When the broker stored the grant, ms since 1970."""

    @property
    def call(self) -> str:
        """The call's id."""
        return self.granted.call.id


def read(message: Delivery, tool: str) -> Order:
    """Read what was pulled.

    :raises Undecodable: with the reason.
    """
    try:
        address = subjects.Subject.parse(message.subject).address
        granted = journal.granted(wire.decode(message.body, journal.Record))
    except ValueError as error:
        raise Undecodable(str(error)) from None
    if granted is None:
        raise Undecodable("the record holds no grant")
    if granted.call.tool != tool:
        raise Undecodable(f"the grant is for {granted.call.tool}")
    return Order(address.tenant, granted, message.delivered, message.time_ms)


class _Decided(Exception):  # noqa: N818 - no error: what comes of a call that does not run
    """The call does not run. `result` is what to say of it, None when nobody waits for it any more."""

    def __init__(self, result: Result | None) -> None:
        super().__init__()
        self.result = result


async def outcome(bus: Bus, clock: BrokerClock, tool: Tool, order: Order, told: Told, heard_ms: float) -> Result | None:
    """Return what comes of a call; None when nobody waits for it any more.

    :param heard_ms: the broker's time since which this process would have heard that the call is cancelled.
    :raises BusError: the broker did not play its part, and nothing ran: the call should come again.
    """
    claims = _once(tool)
    try:
        if order.delivered > 1 or order.stored_ms < heard_ms:
            await _look_back(bus, tool, order)
        _check_fresh(order, clock.now_ms())
        arguments = await _arguments(bus, tool, order)
        if claims and not told.reason:
            await _claim(bus, order)
    except _Decided as decided:
        return decided.result
    if told.reason:
        return cancelled(order)
    timeout_s = min(order.granted.call.timeout_s, (order.granted.expires_ms - clock.now_ms()) / 1000)
    return await _run(bus, tool, order, told, arguments, timeout_s)


def cancelled(order: Order) -> Failed:
    """Return the result of a call that was told to stop before it began."""
    return _failed(order, "cancelled", "the run was cancelled before the call began: nothing was done")


def _lasting(tool: Tool) -> bool:
    return tool.spec.effect in ("write", "irreversible")


def _once(tool: Tool) -> bool:
    """Tell whether a call must not be run twice, because that would change something twice."""
    return _lasting(tool) and not tool.idempotent


async def _look_back(bus: Bus, tool: Tool, order: Order) -> None:
    """Find out whether a call may still run that was delivered before, or granted before this process listened.

    What only reads is run when nobody says that it is not waited for. What changes something was delivered before is
    run only if it is waited for and nobody began it.
    """
    again = order.delivered > 1
    patience_s = once.ASK_S if _once(tool) else _READ_ASK_S
    waited_for = await once.is_open(bus, order.tenant, order.call, patience_s)
    if waited_for is False:
        raise _Decided(None if again else cancelled(order))
    if not again or not _once(tool):
        return
    if waited_for is None:
        raise _Decided(_lost(order, "it was delivered again, and nobody could say whether it had been done"))
    if await once.claimed(bus, order.call):
        raise _Decided(_lost(order, "the process that ran it ended before it could say what came of it"))


async def _claim(bus: Bus, order: Order) -> None:
    crash.point("executor.before_claim")
    if not await once.claim(bus, order.call):
        raise _Decided(_lost(order, "another process had begun it"))
    crash.point("executor.after_claim")


def _check_fresh(order: Order, now_ms: float) -> None:
    """Refuse what must not be started any more."""
    if order.delivered > layout.MAX_DELIVER:
        deaths = f"the call was delivered {order.delivered - 1} times and never answered: it may kill its process"
        raise _Decided(_failed(order, "poison", deaths))
    if now_ms > order.granted.expires_ms:
        late = "the call waited longer than its grant is valid"
        raise _Decided(_failed(order, "call_expired", late, retryable=True))


async def _arguments(bus: Bus, tool: Tool, order: Order) -> Any:
    """Return the arguments, valid against the schema; they never reach the handler otherwise.

    :raises BusError: they could not be fetched.
    """
    call = order.granted.call
    arguments = {} if call.arguments is None else call.arguments
    problems: tuple[str, ...] = ()
    if call.arguments_ref:
        try:
            arguments = msgspec.json.decode(await objects.get_blob(bus, call.arguments_ref))
        except (CallboardError, msgspec.DecodeError) as error:
            problems = (str(error),)
    if problems := problems or violations(tool.spec.input_schema, arguments):
        raise _Decided(_failed(order, "arguments_invalid", "; ".join(problems)))
    return arguments


async def _run(bus: Bus, tool: Tool, order: Order, told: Told, arguments: Any, timeout_s: float) -> Result:
    loop = asyncio.get_running_loop()
    context = ToolContext(bus, order.tenant, order.granted, timeout_s=timeout_s, attempt=order.delivered)
    told.since = started = loop.time()
    clock = asyncio.timeout(timeout_s)
    crash.point("executor.before_effect")
    try:
        with within(order.granted):
            async with clock:
                told.heed(clock)
                output = await tool.handler(context, arguments)
        crash.point("executor.after_effect")
    except ToolError as error:
        usage = _usage(tool, context, started)
        if isinstance(error, ProcessDiedError) and _lasting(tool):
            return _lost(order, f"{error.message}; it may have had its effect", usage)
        return _failed(order, error.code, error.message, retryable=error.retryable, usage=usage)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a tool's author did not foresee
        usage = _usage(tool, context, started)
        if clock.expired() and isinstance(error, TimeoutError):
            return _given_up(tool, order, told.reason, timeout_s, usage)
        return _broken(order, error, usage)
    finally:
        await context.programs.close()
    return await _completed(bus, tool, order, output, _usage(tool, context, started))


def _given_up(tool: Tool, order: Order, reason: Reason, timeout_s: float, usage: Usage) -> Failed | Lost:
    name = tool.spec.name
    match reason:
        case "":
            text = f"{name} did not answer within {timeout_s:.3g} s"
        case "cancelled":
            text = f"{name} was stopped: its run was cancelled"
        case "ended":
            text = f"{name} did not answer before its run ended"
        case _:
            assert_never(reason)
    if _lasting(tool):
        return _lost(order, f"{text}; it may have had its effect", usage)
    return _failed(order, "cancelled" if reason else "call_timeout", text, retryable=not reason, usage=usage)


def _broken(order: Order, error: BaseException, usage: Usage) -> Failed:
    log.warning("tool failed", tool=order.granted.call.tool, call=order.call, exc_info=error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _failed(order, "tool_failed", text, usage=usage)


async def _completed(bus: Bus, tool: Tool, order: Order, output: Any, usage: Usage) -> Result:
    try:
        value = msgspec.to_builtins(output, str_keys=True)
        body = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return _failed(order, "output_invalid", f"the output is not JSON: {error}", usage=usage)
    schema = tool.spec.output_schema
    if schema is not None and (problems := violations(schema, value)):
        return _failed(order, "output_invalid", "; ".join(problems), usage=usage)
    if len(body) <= wire.INLINE_BYTES:
        return Completed(call=order.call, output=value, usage=usage)
    if len(body) > objects.MAX_FILE_BYTES:
        return _failed(order, "output_invalid", f"the output has {len(body):,} bytes", usage=usage)
    reference = await _stored(bus, body)
    return Completed(call=order.call, output_ref=reference, output_bytes=len(body), usage=usage)


async def _stored(bus: Bus, body: bytes) -> str:
    """Store an output. The effect has taken place, so this does not give up; cancelling it does."""
    while True:
        try:
            return await objects.put_blob(bus, body)
        except BusError as error:
            log.warning("output not stored yet", detail=str(error))
            await asyncio.sleep(0.5)


def _usage(tool: Tool, context: ToolContext, started: float) -> Usage:
    took = int((asyncio.get_running_loop().time() - started) * 1000)
    price = tool.spec.price_micro_usd
    used = context.used or Usage(cost_micro_usd=price, estimated=price > 0)
    return msgspec.structs.replace(used, duration_ms=took)


def _failed(order: Order, code: str, message: str, *, retryable: bool = False, usage: Usage = Usage()) -> Failed:  # noqa: B008 - it is frozen
    return Failed(call=order.call, code=code, message=message[:_MESSAGE_LETTERS], retryable=retryable, usage=usage)


def _lost(order: Order, message: str, usage: Usage = Usage()) -> Lost:  # noqa: B008 - it is frozen
    return Lost(call=order.call, message=message, usage=usage)
