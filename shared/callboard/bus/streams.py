"""What the broker tells of a stream."""

from callboard.bus.bus import Bus
from callboard.bus.message import rfc3339_ms


async def described(bus: Bus, stream: str) -> tuple[str, int]:
    """Return when a stream was made, which tells it from another of its name, and its last sequence.

    :raises BusError: the broker does not say.
    """
    info = await bus.api(f"STREAM.INFO.{stream}")
    return str(info["created"]), int(info["state"]["last_seq"])


async def time_ms(bus: Bus, stream: str) -> int:
    """Return the time of the broker that holds a stream, by which its messages are stamped, in ms since 1970.

    :raises BusError: the broker does not say.
    """
    return rfc3339_ms(str((await bus.api(f"STREAM.INFO.{stream}"))["ts"]))
