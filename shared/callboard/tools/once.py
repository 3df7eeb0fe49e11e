"""At most one executor ever starts a call that changes something: it claims the call first, fenced at 0.

The claim lies beside the files of the call's tree, where executors may write, and goes when the tree is purged. It
costs one stored message, for effects `write` and `irreversible` alone. Because it is made before the effect, whoever
finds another's claim cannot know whether there was an effect, and whoever finds none knows that there was not.
"""

import asyncio
import secrets

import msgspec

from callboard.bus import Bus, Conflict, NoAnswer, PublishTimeout, layout, reader
from callboard_contracts import ids, subjects, wire

ASK_S = 2.0
_PAUSE_S = 0.2


class _Answer(msgspec.Struct):
    open: bool


def _subject(call: str) -> str:
    return f"$O.{layout.ARTIFACTS}.C.{ids.tree_of(call)}.claim.{call}"


async def claim(bus: Bus, call: str) -> bool:
    """Take the right to start a call. False: somebody has it, this process in an earlier life perhaps.

    :raises PublishTimeout: it is not known whether the claim was stored; try again later.
    """
    mark = secrets.token_hex(8).encode()
    try:
        await bus.publish(_subject(call), mark, {wire.FENCE: "0"})
    except Conflict:
        return await _mark(bus, call) == mark
    except PublishTimeout:
        if await _mark(bus, call) != mark:
            raise
    return True


async def claimed(bus: Bus, call: str) -> bool:
    """Tell whether anybody started a call.

    :raises NoAnswer: the broker does not answer.
    """
    return await _mark(bus, call) != b""


async def _mark(bus: Bus, call: str) -> bytes:
    found = await reader.last(bus, f"OBJ_{layout.ARTIFACTS}", _subject(call))
    return found.body if found else b""


async def is_open(bus: Bus, tenant: str, call: str, patience_s: float = ASK_S) -> bool | None:
    """Ask the planner whether a call still waits for its result; None when nobody answers in time."""
    subject = subjects.ask(tenant, "planner", "call")
    until = asyncio.get_running_loop().time() + patience_s
    while (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            answer = await bus.request(subject, wire.encode({"call": call}), timeout_s=left)
            return msgspec.json.decode(answer.body, type=_Answer).open
        except NoAnswer:  # a planner that is just being restarted is not there for a moment
            await asyncio.sleep(min(_PAUSE_S, left))
        except msgspec.DecodeError:
            return None
    return None
