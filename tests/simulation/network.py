"""The links between clients and the broker. Within a lane messages keep their order, as on one connection to one
stream or from one subscription; lanes overtake each other. What is lost, late or doubled follows from dice.
"""

from random import Random

import msgspec


class Weather(msgspec.Struct):
    """What the network does, each as the chance that it befalls one message."""

    slow: float = 0.0
    """Held up for up to half a second."""
    stuck: float = 0.0
    """Held up for seconds, longer than anybody waits."""
    lost_publish: float = 0.0
    """Never reaches the broker."""
    lost_puback: float = 0.0
    """Stored, and the publisher hears nothing."""
    lost_ack: float = 0.0
    """An acknowledgement of a delivery never reaches the broker."""
    lost_delivery: float = 0.0
    """A delivery, or a message of core NATS, never reaches the client."""
    lost_answer: float = 0.0
    """The broker's answer to anything else is lost."""
    doubled: float = 0.0
    """A delivery that is being worked on is delivered again."""


class Network:
    """Decides each message's fate. `weather` may change at any time."""

    def __init__(self, dice: Random, weather: Weather) -> None:
        self._dice = dice
        self.weather = weather

    def delay(self) -> float:
        """Return how long a message is under way, in seconds."""
        roll, usual = self._dice.random(), 0.0003 + 0.002 * self._dice.random()
        weather = self.weather
        if roll < weather.stuck:
            return usual + 2 + 6 * self._dice.random()
        if roll < weather.stuck + weather.slow:
            return usual + 0.5 * self._dice.random()
        return usual

    def lost_on_the_way_up(self, subject: str) -> bool:
        """Tell whether what a client sends never reaches the broker."""
        weather = self.weather
        chance = weather.lost_ack if subject.startswith("$JS.ACK.") else weather.lost_publish
        return chance > 0 and self._dice.random() < chance

    def lost_on_the_way_down(self, subject: str, reply: str, block: bytes) -> bool:
        """Tell whether what the broker sends never reaches a client."""
        weather = self.weather
        if reply.startswith("$JS.ACK.") or not subject.startswith("_INBOX."):
            chance = weather.lost_delivery
        elif "-scan." in subject:
            return False  # a page is many messages of one connection: none is lost but with all that follow
        else:
            chance = weather.lost_answer if block else weather.lost_puback
        return chance > 0 and self._dice.random() < chance

    def doubled(self) -> float:
        """Return after how many seconds a delivery is repeated, 0 for never."""
        chance = self.weather.doubled
        return 0.001 + self._dice.random() if chance > 0 and self._dice.random() < chance else 0.0
