"""What tells a stream from another one of its name."""

from callboard.bus import Bus


async def described(bus: Bus, stream: str) -> tuple[str, int]:
    """Return when a stream was made, which tells it from another of its name, and its last sequence.

    :raises BusError: the broker does not say.
    """
    info = await bus.api(f"STREAM.INFO.{stream}")
    return str(info["created"]), int(info["state"]["last_seq"])
