"""A subscriber of everything that is live, which says when it had each record."""

import time
from datetime import datetime

import msgspec

from callboard.bus import Delivery
from callboard.service import Context

HEARD = "bench.heard"
_MICROSECONDS = 26
"""The length of `2026-01-01T00:00:00.123456`."""


async def serve_listener(context: Context) -> None:
    """Hear every record on live, and tell how long each took when asked."""
    heard: list[tuple[float, Delivery]] = []
    stops = [
        await context.bus.subscribe("cb.*.live.>", lambda message: heard.append((time.time(), message))),
        await context.bus.subscribe(
            HEARD, lambda asked: context.bus.send(asked.reply, msgspec.json.encode([_took_ms(*one) for one in heard]))
        ),
    ]
    context.ready()
    await context.stop.wait()
    for stop in stops:
        await stop()


def _took_ms(at: float, message: Delivery) -> float:
    seconds, _, fraction = message.headers["Nats-Time-Stamp"].rstrip("Z").partition(".")
    stamp = f"{seconds}.{fraction}".ljust(_MICROSECONDS, "0")[:_MICROSECONDS]
    return (at - datetime.fromisoformat(f"{stamp}+00:00").timestamp()) * 1000
