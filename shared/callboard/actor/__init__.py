"""What an actor is: pure functions over messages. Nothing here, and nothing an actor imports, touches the world."""

from callboard.actor.actor import DEAD_CODES, LATER, SEEN, Actor, Command, Dead, Decision, Input, Later, Seen
from callboard.actor.remembered import remembered
from callboard.actor.schema import check_schema, violations

__all__ = [
    "DEAD_CODES",
    "LATER",
    "SEEN",
    "Actor",
    "Command",
    "Dead",
    "Decision",
    "Input",
    "Later",
    "Seen",
    "check_schema",
    "remembered",
    "violations",
]
