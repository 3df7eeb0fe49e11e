"""What a user prefers: said once, by himself or to an agent, and told to every run of his from then on.

The gateway asks for it when it takes a goal, because only the gateway knows who acts. A line that an agent noted says
so; one that an agent wrote after it had read what a tool or the web returned is not told before its user says it
himself: who writes a page must not instruct the runs of those who read it.
"""

import hashlib
import time
from typing import Any, Final

import msgspec

from callboard_contracts import memory
from callboard_contracts.errors import CallboardError
from callboard_services.memory.house import Memory
from callboard_services.memory.query import MOST, Query, Run
from callboard_services.memory.recall import Hit, recall

LINES: Final = 10
CHARS: Final = 1_500
TOLD: Final = ("person", "agent")
"""Whose word is told to runs."""
_HELD_S: Final = 10.0
"""How long what is said waits until runs are told; it is stored before, and said again it is the same."""
NOTED: Final = " (noted by an agent)"


class Preferring(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody says what he prefers."""

    principal: str
    text: str
    tags: tuple[str, ...] = ()


class Whose(msgspec.Struct, frozen=True, kw_only=True):
    """Whose preferences are asked for, and those of which workspace beside those that hold everywhere."""

    principal: str
    workspace: str = ""


async def prefer(house: Memory, tenant: str, wish: Preferring) -> dict[str, Any]:
    """Remember what somebody says that he prefers. Said again, it is the same.

    :raises CallboardError: `invalid_request`, or `unavailable`. :raises BusError: it is not known to be stored.
    """
    text = " ".join(wish.text.split())
    if not text or not wish.principal:
        raise CallboardError("invalid_request", "a preference has a text, and somebody whose it is")
    said = memory.Remembered(
        id=hashlib.sha256(msgspec.json.encode([wish.principal, text])).hexdigest()[:20],
        kind="preference",
        text=text,
        origin=memory.Origin(
            scope="user",
            owner=wish.principal,
            trust="person",
            principal=wish.principal,
            at_ms=time.time_ns() // 1_000_000,
        ),
        tags=tuple(sorted(set(wish.tags))),
    )
    await house.writer.remember(tenant, said)
    await house.follower.caught_up(tenant, _HELD_S, kinds=("preference",))  # whoever starts a run next is told
    return {"id": said.id, "text": text, "trust": "person"}


async def of(house: Memory, tenant: str, whose: Whose) -> dict[str, Any]:
    """Return what somebody prefers: every row, and the lines that his runs are told.

    :raises CallboardError: `unavailable`. :raises BusError: the broker does not answer.
    """
    if not whose.principal:
        return {"rows": [], "lines": []}
    found: dict[str, Hit] = {}
    for workspace in dict.fromkeys((memory.WORKSPACE, whose.workspace or memory.WORKSPACE)):
        sight = Run(workspace, "", whose.principal)
        rows = await recall(house, Query(tenant, sight, kinds=("preference",), limit=MOST))
        found |= {row.id: row for row in rows if row.scope == "user"}
    rows = sorted(found.values(), key=lambda row: (-row.at_ms, row.id))
    return {"rows": rows, "lines": lines(rows)}


def lines(rows: list[Hit]) -> list[str]:
    """Return what runs are told: the newest, so many as fit, in the order in which they were said. Pure."""
    told, room = list[str](), CHARS
    for row in rows:
        line = " ".join(row.text.split()) + (NOTED if row.trust != "person" else "")
        if row.trust not in TOLD or len(line) > room:
            continue
        told.append(line)
        room -= len(line)
        if len(told) == LINES:
            break
    return told[::-1]
