"""Times and names as a sentence says them. Pure."""

from datetime import UTC, datetime

from callboard.why.facts import Facts, Lane

_DAY_MS = 86_400_000


def at(facts: Facts, ms: int) -> str:
    """Return a time of the day in UTC, with the date when it is another day."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    near = moment.date() == datetime.fromtimestamp(facts.now_ms / 1000, UTC).date()
    return moment.strftime("%H:%M:%S UTC" if near else "%Y-%m-%d %H:%M:%S UTC")


def by(principal: str) -> str:
    """Return who did it, with a blank before it; nothing when nobody is named."""
    return f" by {principal}" if principal else ""


def lives(facts: Facts, lane: Lane) -> bool:
    """Tell whether somebody takes from a queue of the core."""
    queue = facts.lanes.get(lane)
    return queue is not None and queue.pulls > 0


def count(number: int, one: str) -> str:
    """Return a number with its noun."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def one_of(executors: int) -> str:
    """Return an executor among those that live."""
    return "the one live executor" if executors == 1 else f"one of {executors} live executors"
