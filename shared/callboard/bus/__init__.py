"""The broker, and the only package that imports nats."""

from callboard.bus.bus import Bus, PubAck, default_url, hide_password
from callboard.bus.errors import BusError, Conflict, NoAnswer, PublishRefused, PublishTimeout
from callboard.bus.message import Delivery
from callboard.bus.puller import Puller, Room, ack, in_progress, nak, term

__all__ = [
    "Bus",
    "BusError",
    "Conflict",
    "Delivery",
    "NoAnswer",
    "PubAck",
    "PublishRefused",
    "PublishTimeout",
    "Puller",
    "Room",
    "ack",
    "default_url",
    "hide_password",
    "in_progress",
    "nak",
    "term",
]
