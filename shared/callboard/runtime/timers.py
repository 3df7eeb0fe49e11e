"""Timers are messages of the broker, not sleeping tasks: one per actor, armed again by publishing it again."""

from datetime import UTC, datetime

from callboard.bus import Bus
from callboard_contracts import run, subjects, wire


async def arm(bus: Bus, address: subjects.Address, at_ms: int) -> None:
    """Set an actor's timer. It comes out as `in.timer` up to a quarter of a second late, also after a crash.

    :raises BusError: it is not stored; deciding again arms it again.
    """
    if address.actor == "tree":
        address = subjects.Address.of_tree(address.tenant, address.tree)
    when = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    headers = {
        wire.ID: f"timer:{address.run}@{at_ms}",
        wire.TYPE: wire.type_of(run.Wake),
        wire.SCHEDULE: f"@at {when}",
        wire.SCHEDULE_TARGET: address.due,
    }
    await bus.publish(address.timer, wire.encode(run.Wake()), headers)
