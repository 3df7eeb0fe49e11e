"""A result as a run takes it. The output stays where it is. Pure."""

from typing import Any

import msgspec

from callboard.actor import Input
from callboard_contracts import run
from callboard_contracts.call import Completed, Failed, Lost, Refused, Result

_SHOWN = 32 * 1024
_STATUS: dict[type, Any] = {Completed: "completed", Failed: "failed", Lost: "lost"}


def taken(tool: str, message: Input, result: Result) -> run.Taken:
    """Return a result as the run records it: what it cost, how large it is, and where it lies."""
    if isinstance(result, Refused):
        return run.Taken(
            call=result.call,
            tool=tool,
            status="refused",
            seq=message.seq,
            code=result.code,
            message=result.message[:500],
        )
    usage = result.usage
    return run.Taken(
        call=result.call,
        tool=tool,
        status=_STATUS[type(result)],
        seq=message.seq,
        cost_micro_usd=usage.cost_micro_usd,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        unpriced=usage.unpriced,
        duration_ms=usage.duration_ms,
        model=usage.model,
        estimated=usage.estimated,
        price=usage.price,
        bytes=_size(result) if isinstance(result, Completed) else 0,
        code=result.code if isinstance(result, Failed) else "",
        message="" if isinstance(result, Completed) else result.message[:500],
    )


def _size(result: Completed) -> int:
    """Return how much of an output the next prompt may show: of one that is kept elsewhere, its beginning."""
    return min(result.output_bytes, _SHOWN) if result.output_ref else len(msgspec.json.encode(result.output))
