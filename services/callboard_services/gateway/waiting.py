"""Goals that were taken and not yet begun: bounded looks into GOALS, so that any gateway can tell after any restart."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from callboard.bus import Delivery, layout, reader
from callboard_contracts import ids, names, subjects
from callboard_services.gateway.house import House

_MOST = 1000
_CLOCKS_MS = 5000
"""How far our clock and the broker's may be apart."""


async def find(house: House, run: str) -> str | None:
    """Return the skill of a goal that waits (`""` for none), None when no such goal is found.

    :raises BusError: the broker does not answer.
    """
    goal = await goal_of(house, run)
    if goal is None:
        return None
    skill = subjects.Goal.parse(goal.stored_subject).skill
    return "" if skill == names.ADHOC else skill


async def goal_of(house: House, run: str) -> Delivery | None:
    """Return a goal that waits, None when no such goal is found.

    Looked at are the goals stored around the time in the id, and the newest ones: a client's own id may be older.

    :raises BusError: the broker does not answer.
    """
    if not ids.is_ulid(run):
        return None
    async for goal in _around(house, run):
        if goal.id == run:
            return goal
    return None


async def _around(house: House, run: str) -> AsyncIterator[Delivery]:
    since = datetime.fromtimestamp(max(0, ids.ulid_ms(run) - _CLOCKS_MS) / 1000, UTC).isoformat()
    async for goal in _some(house, 1, since):
        yield goal
    state = (await house.bus.api(f"STREAM.INFO.{layout.GOALS}"))["state"]
    async for goal in _some(house, max(state["first_seq"], state["last_seq"] - _MOST), ""):
        yield goal


async def _some(house: House, start: int, since: str) -> AsyncIterator[Delivery]:
    seen = 0
    async for goal in reader.scan(house.bus, layout.GOALS, str(subjects.Goal(house.tenant, "*")), start, since=since):
        yield goal
        seen += 1
        if seen == _MOST:
            return
